import { heapSize } from "bun:jsc"
import { readFileSync } from "node:fs"

/*
 * What a worker looks after in its own thread, because nobody else can: how much its heap holds, and the processes that
 * the driver starts by itself.
 */

const lookMs = 500

/** The bytes its heap holds when it is more than `max`, garbage not counted; else undefined. */
export function heapOver(max: number): number | undefined {
  if (heapSize() <= max) return undefined
  Bun.gc(true)
  const held = heapSize()
  return held > max ? held : undefined
}

/** Calls `onOver` when the heap holds more than `max`. A driver that blocks its thread is not seen. */
export function watchHeap(max: number, onOver: (bytes: number) => void): Disposable {
  const timer = setInterval(() => {
    const bytes = heapOver(max)
    if (bytes !== undefined) onOver(bytes)
  }, lookMs)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/**
 * Marks what the driver starts without `ctx.exec`, so that it is found when the worker ends. Bun gives children of a worker
 * the environment of the process, not that of the worker, unless it is told to.
 */
export function markChildren(marks: Readonly<Record<string, string>>): void {
  Object.assign(process.env, marks)
  const { spawn, spawnSync } = Bun
  const marked = (args: readonly unknown[]): unknown[] => {
    const at = Array.isArray(args[0]) ? 1 : 0
    const options = (args[at] ?? {}) as { readonly env?: object }
    const env = options.env === undefined ? process.env : { ...options.env, ...marks }
    return args.toSpliced(at, 1, { ...options, env })
  }
  Object.assign(Bun, {
    spawn: (...args: unknown[]) => Reflect.apply(spawn, Bun, marked(args)),
    spawnSync: (...args: unknown[]) => Reflect.apply(spawnSync, Bun, marked(args)),
  })
}

/** Has this thread children that live, as far as the system tells? */
export function hasChildren(): boolean {
  try {
    return readFileSync("/proc/thread-self/children", "latin1").trim() !== ""
  } catch {
    // Another system: nothing could be found there anyway.
    return false
  }
}
