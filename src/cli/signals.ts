import { constants } from "node:os"

/** A SIGTERM or SIGINT, and the exit code of a process that it ends. */
export interface Signal {
  readonly name: "SIGINT" | "SIGTERM"
  readonly exit: number
}

/**
 * Keeps SIGTERM and SIGINT from ending the process and hands them out one by one instead, in order; one that came
 * before it was asked for is not lost. Give it to one reader at a time. Disposed, signals end the process again.
 */
export function watchSignals(): Disposable & { next(): Promise<Signal> } {
  const came: Signal[] = []
  let waiting: ((signal: Signal) => void)[] = []
  const hear = (name: Signal["name"]) => {
    const signal = { name, exit: 128 + constants.signals[name] }
    const waiters = waiting
    waiting = []
    if (waiters.length === 0) came.push(signal)
    for (const settle of waiters) settle(signal)
  }
  process.on("SIGINT", hear).on("SIGTERM", hear)
  return {
    next() {
      const signal = came.shift()
      if (signal !== undefined) return Promise.resolve(signal)
      return new Promise((resolve) => waiting.push(resolve))
    },
    [Symbol.dispose]() {
      process.off("SIGINT", hear).off("SIGTERM", hear)
    },
  }
}
