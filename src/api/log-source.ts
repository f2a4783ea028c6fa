import { ConveyorError } from "../errors.ts"
import type { LogLine } from "../model/log.ts"

export interface LogSourceOptions {
  /** Reads the lines after this one; throws `SERVER_UNREACHABLE` when they cannot be had. */
  readonly read: (options: {
    readonly after: number
    readonly follow: boolean
    readonly signal: AbortSignal
  }) => AsyncIterable<readonly LogLine[]>
  /** The sequence of the last line that is not wanted. */
  readonly after: number
  readonly follow: boolean
  readonly signal: AbortSignal
  /** Something below has changed. */
  readonly onChange: () => void
  /** Resolves when it is worth trying again after lines could not be had. */
  readonly retry: (signal: AbortSignal) => Promise<void>
}

/**
 * `reading`: there are lines, or may be. `idle`: all there were have been taken, and more may come. `away`: they cannot be
 * had now. `over`: all have been taken, and no more are asked for.
 */
export type LogSourceState =
  | { readonly status: "reading" | "idle" | "over" }
  | { readonly status: "away"; readonly message: string }

/** The lines of one place of a run's log, one batch ahead of who takes them. Reads until its signal aborts. */
export class LogSource {
  readonly #options: LogSourceOptions
  #state: LogSourceState = { status: "reading" }
  #batch: readonly LogLine[] = []
  #next = 0
  #read: number
  #failure: { readonly error: unknown } | undefined
  #onTaken = () => {}

  constructor(options: LogSourceOptions) {
    this.#options = options
    this.#read = options.after
    void this.#run().catch((error: unknown) => {
      this.#failure = { error }
      options.onChange()
    })
  }

  /** Throws what reading threw, when that was a bug. */
  get state(): LogSourceState {
    if (this.#failure !== undefined) throw this.#failure.error
    return this.#state
  }

  /** The next line, when it is here. */
  get head(): LogLine | undefined {
    return this.#batch[this.#next]
  }

  /** May there be lines now that have not been taken? */
  get mayHoldMore(): boolean {
    return this.head !== undefined || this.state.status === "reading"
  }

  /** Takes the head. */
  take(): LogLine {
    const line = this.#batch[this.#next]
    if (line === undefined) throw new Error("Only a line that is here can be taken")
    this.#next++
    if (this.#next === this.#batch.length) this.#onTaken()
    return line
  }

  async #run(): Promise<void> {
    const { follow, signal, retry } = this.#options
    while (!signal.aborted) {
      const state = await this.#readOn()
      if (signal.aborted) return
      this.#become(state)
      if (!follow) return
      await retry(signal)
    }
  }

  /** Reads to the end, or until it breaks; answers the state it is in then. */
  async #readOn(): Promise<LogSourceState> {
    const { read, follow, signal } = this.#options
    try {
      for await (const batch of read({ after: this.#read, follow, signal })) {
        if (batch.length === 0) this.#become({ status: "idle" })
        else await this.#offer(batch)
        if (signal.aborted) break
      }
      return { status: follow ? "idle" : "over" }
    } catch (error) {
      if (error instanceof ConveyorError && error.code === "SERVER_UNREACHABLE")
        return { status: "away", message: error.message }
      throw error
    }
  }

  async #offer(batch: readonly LogLine[]): Promise<void> {
    const { signal } = this.#options
    const { promise, resolve } = Promise.withResolvers<void>()
    signal.addEventListener("abort", resolve as () => void)
    this.#onTaken = resolve
    this.#batch = batch
    this.#next = 0
    this.#read = batch.at(-1)?.sequence ?? this.#read
    this.#become({ status: "reading" })
    if (!signal.aborted) await promise
    signal.removeEventListener("abort", resolve as () => void)
  }

  #become(state: LogSourceState): void {
    this.#state = state
    this.#options.onChange()
  }
}
