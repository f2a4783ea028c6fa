import { ConveyorError, type ErrorCode } from "../../src/errors.ts"
import { revisionOf } from "../../src/store/change.ts"
import type {
  Change,
  Guard,
  Lease,
  Listing,
  ListOptions,
  Revision,
  Store,
  Write,
} from "../../src/store/store.ts"

/**
 * A real store whose answers a test can hold back, lose or refuse. What is not interfered with is the store's own.
 * The real one stays open when this one is disposed.
 */
export class FaultyStore implements Store {
  readonly #store: Store
  #heldWatches: (PromiseWithResolvers<void> & { readonly prefix: string }) | undefined
  #heldLists: PromiseWithResolvers<void> | undefined
  #heldAnswers: (PromiseWithResolvers<void> & { readonly prefix: string }) | undefined
  /** The revision up to which watches of a prefix have been heard. */
  readonly heard = new Map<string, Revision>()
  #outage = false
  /** Commits that happen and whose answer is lost, from now on. */
  lostAnswers = 0
  /** Renewals of a lease that are not answered, from now on. */
  refusedRenewals = 0
  /** Commits that write a key with this prefix are refused with this error. */
  refused: { readonly prefix: string; readonly with: ErrorCode } | undefined
  /** Calls that were refused. */
  refusals = 0
  /** Lists that are held back now. */
  heldLists = 0
  /** Renewals of a lease that were answered. */
  renewals = 0
  #broken = new AbortController()

  constructor(store: Store) {
    this.#store = store
  }

  /** Watches, or those of what is below this prefix, deliver nothing until {@link releaseWatches}. */
  holdWatches(prefix = ""): void {
    this.#heldWatches ??= { ...Promise.withResolvers<void>(), prefix }
  }
  releaseWatches(): void {
    this.#heldWatches?.resolve()
    this.#heldWatches = undefined
  }

  /** Lists are made when they are asked for and answered at {@link releaseLists}. */
  holdLists(): void {
    this.#heldLists ??= Promise.withResolvers<void>()
  }
  releaseLists(): void {
    this.#heldLists?.resolve()
    this.#heldLists = undefined
  }

  /** Commits that write a key with this prefix happen, and are answered at {@link releaseAnswers}. */
  holdAnswers(prefix: string): void {
    this.#heldAnswers ??= { ...Promise.withResolvers<void>(), prefix }
  }
  releaseAnswers(): void {
    this.#heldAnswers?.resolve()
    this.#heldAnswers = undefined
  }

  /** Every watch loses its history: what happened meanwhile is not delivered. */
  compact(): void {
    this.#broken.abort()
    this.#broken = new AbortController()
  }

  /** Nothing answers until {@link comeBack}. */
  goAway(): void {
    this.#outage = true
  }
  comeBack(): void {
    this.#outage = false
  }

  async get(key: string) {
    this.#checkThere()
    return await this.#store.get(key)
  }

  async list(prefix: string, options?: ListOptions): Promise<Listing> {
    this.#checkThere()
    const listing = await this.#store.list(prefix, options)
    if (this.#heldLists !== undefined) {
      this.heldLists++
      await this.#heldLists.promise
      this.heldLists--
    }
    return listing
  }

  async commit(guards: readonly Guard[], writes: readonly Write[]): Promise<Revision | undefined> {
    this.#checkThere()
    const { refused } = this
    if (refused !== undefined && writes.some(({ key }) => key.startsWith(refused.prefix)))
      this.#refuse(refused.with)
    const held = this.#heldAnswers
    const revision = await this.#store.commit(guards, writes)
    if (held !== undefined && writes.some(({ key }) => key.startsWith(held.prefix))) await held.promise
    if (this.lostAnswers > 0) {
      this.lostAnswers--
      this.#refuse()
    }
    return revision
  }

  async *watch(prefix: string, since: Revision, signal: AbortSignal): AsyncIterable<readonly Change[]> {
    const broken = this.#broken.signal
    for await (const changes of this.#store.watch(prefix, since, AbortSignal.any([signal, broken]))) {
      if (prefix.startsWith(this.#heldWatches?.prefix ?? "")) await this.#heldWatches?.promise
      if (signal.aborted || broken.aborted) break
      yield changes
      const [last] = changes.slice(-1)
      if (last !== undefined) this.heard.set(prefix, revisionOf(last))
    }
    if (broken.aborted && !signal.aborted) throw new ConveyorError("COMPACTED", "that history is gone")
  }

  async grant(ttlMs: number): Promise<Lease> {
    this.#checkThere()
    return await this.#store.grant(ttlMs)
  }

  async keepAlive(lease: Lease): Promise<boolean> {
    this.#checkThere()
    if (this.refusedRenewals > 0) {
      this.refusedRenewals--
      this.#refuse()
    }
    this.renewals++
    return await this.#store.keepAlive(lease)
  }

  async revoke(lease: Lease): Promise<void> {
    this.#checkThere()
    await this.#store.revoke(lease)
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #checkThere(): void {
    if (this.#outage) this.#refuse()
  }

  #refuse(code: ErrorCode = "STORE_UNAVAILABLE"): never {
    this.refusals++
    throw new ConveyorError(code, "the store does not answer")
  }
}
