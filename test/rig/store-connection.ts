import { ConveyorError } from "../../src/errors.ts"
import type {
  Change,
  Entry,
  Guard,
  Lease,
  Listing,
  ListOptions,
  Revision,
  Store,
  Write,
} from "../../src/store/store.ts"
import { outside, type VirtualProcess } from "./virtual-clock.ts"

/**
 * What becomes of one commit: it is done; it is lost on its way, or its answer is; it is given up, and arrives long
 * after that; or the process dies before or after.
 */
export type Fate = "done" | "lost" | "answer-lost" | "late" | "killed-before" | "killed-after"

export interface StoreConnectionOptions {
  readonly process: VirtualProcess
  /** How long a request, an answer or a watch's news is on its way. */
  readonly delayMs?: () => number
  /** Asked once for each commit, in the order they reach the store. */
  readonly fateOf?: (writes: readonly Write[]) => Fate
  /** How long after it was given up a late commit arrives. Default: at once. */
  readonly lateMs?: () => number
  /** A commit of this process was applied. */
  readonly onApplied?: (writes: readonly Write[], revision: Revision) => void
}

/**
 * The way of one process to a store, in virtual time: it takes time, breaks, and ends with the process. What has left
 * the process reaches the store although the process is paused; what comes back waits until it goes on.
 */
export class StoreConnection implements Store {
  readonly #store: Store
  readonly #options: StoreConnectionOptions
  readonly #delayMs: () => number
  #broken = new AbortController()
  /** Nothing reaches the store, and watches hear nothing, while this is so. */
  cut = false
  /** Watches hear nothing for this long. */
  watchDelayMs = 0
  /** Requests and answers take this much longer. */
  slowMs = 0
  /** The lease granted last. */
  lease: Lease | undefined

  constructor(store: Store, options: StoreConnectionOptions) {
    this.#store = store
    this.#options = options
    this.#delayMs = () => (options.delayMs?.() ?? 0) + this.slowMs
  }

  /** Every watch loses its place in the history, and the news that are on their way. */
  loseHistory(): void {
    this.#broken.abort()
    this.#broken = new AbortController()
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#ask(() => this.#store.get(key))
  }

  list(prefix: string, options?: ListOptions): Promise<Listing> {
    return this.#ask(() => this.#store.list(prefix, options))
  }

  commit(guards: readonly Guard[], writes: readonly Write[]): Promise<Revision | undefined> {
    return this.#ask(async () => {
      const fate = this.#options.fateOf?.(writes) ?? "done"
      if (fate === "killed-before") this.#options.process.kill()
      if (fate === "late") setTimeout(() => void this.#apply(guards, writes), this.#options.lateMs?.())
      if (fate !== "done" && fate !== "answer-lost" && fate !== "killed-after") throw unavailable()
      const revision = await this.#apply(guards, writes)
      if (fate === "killed-after") this.#options.process.kill()
      if (fate === "answer-lost") throw unavailable()
      return revision
    })
  }

  async #apply(guards: readonly Guard[], writes: readonly Write[]): Promise<Revision | undefined> {
    const revision = await this.#store.commit(guards, writes)
    if (revision !== undefined) this.#options.onApplied?.(writes, revision)
    return revision
  }

  async *watch(prefix: string, since: Revision, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    const broken = this.#broken.signal
    const { killed } = this.#options.process
    const ended = AbortSignal.any([signal, broken, killed])
    for await (const changes of this.#store.watch(prefix, since, ended)) {
      await Bun.sleep(this.#delayMs() + this.watchDelayMs)
      while (this.cut) await Bun.sleep(cutPollMs)
      if (ended.aborted) break
      yield changes
    }
    if (killed.aborted) await forever()
    if (broken.aborted && !signal.aborted) throw new ConveyorError("COMPACTED", "that history is gone")
  }

  async grant(ttlMs: number): Promise<Lease> {
    const lease = await this.#ask(() => this.#store.grant(ttlMs))
    this.lease = lease
    return lease
  }

  keepAlive(lease: Lease): Promise<boolean> {
    return this.#ask(() => this.#store.keepAlive(lease))
  }

  revoke(lease: Lease): Promise<void> {
    return this.#ask(() => this.#store.revoke(lease))
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #ask<T>(request: () => Promise<T>): Promise<T> {
    const { process } = this.#options
    const answer = await outside(() => this.#reach(request))
    if (process.killed.aborted) await forever()
    // A timer of the process: it waits while the process is paused.
    await Bun.sleep(this.#delayMs())
    if ("error" in answer) throw answer.error
    return answer.value
  }

  async #reach<T>(request: () => Promise<T>): Promise<{ readonly value: T } | { readonly error: unknown }> {
    try {
      await Bun.sleep(this.#delayMs())
      if (this.cut) throw unavailable()
      const value = await request()
      if (this.cut) throw unavailable()
      return { value }
    } catch (error) {
      return { error }
    }
  }
}

const cutPollMs = 100

/** What a dead process waits for. */
function forever(): Promise<never> {
  return new Promise(() => {})
}

function unavailable(): ConveyorError {
  return new ConveyorError("STORE_UNAVAILABLE", "the store does not answer")
}
