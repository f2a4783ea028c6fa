import { ConveyorError } from "../errors.ts"
import type { HostRecord } from "../model/host.ts"
import { hostKey, hostLeaseKey } from "../store/keys.ts"
import type { Guard, Lease, Store, Write } from "../store/store.ts"

/** How long to wait before the store is asked again, when it did not give a lease. */
const regrantMs = 500
/** How often a lease is renewed within its TTL, and how often that is tried when the store did not answer. */
const renewalsPerTtl = 3
const retriesPerTtl = 15

/** A lease, and the guard that holds for exactly as long as it lives: every commit of its host carries it. */
export interface HeldLease {
  readonly lease: Lease
  readonly fence: Guard
}

/** A part of the host whose work depends on the lease. */
export interface LeaseListener {
  /**
   * The lease may be gone: everything that was claimed under it must stop now. Called once for each lease lost; its
   * claims are left to others when it resolves, or when the lease ends. Never rejects.
   */
  readonly onLost?: () => Promise<void>
  /** A lease was gained anew: what lay under the one before is gone. */
  readonly onGained: () => void
}

export interface HostLeaseOptions {
  readonly store: Store
  readonly hostId: string
  readonly ttlMs: number
  /** The host's record, as of now. It stands in the store for as long as the lease lives. */
  readonly describe: () => HostRecord
  /** What else it says of itself, by key: too large, or too seldom read, to be in a record that changes often. */
  readonly describeMore?: () => ReadonlyMap<string, string>
  /** Told once of an outage, not of every try in it. */
  readonly onError: (message: string, cause: unknown) => void
}

/**
 * A host's lease: what its claims and its record lie under. It is kept alive every third of its TTL, and tried again
 * soon when the store did not answer, so that a short outage costs no attempt. A host fences itself by its own
 * monotonic clock at two thirds of the TTL after the last renewal was *sent*: others see its claims go at the full TTL
 * at the earliest, so there is never a moment at which two hosts believe they hold one attempt.
 *
 * A host that was stopped in its tracks cannot fence itself in time. So a key is put once under each lease and goes
 * with it, and a commit that is guarded by it (see {@link HeldLease}) cannot land when the lease is over.
 */
export class HostLease implements AsyncDisposable {
  readonly #options: HostLeaseOptions
  readonly #listeners: LeaseListener[] = []
  #held: HeldLease | undefined
  #gained = Promise.withResolvers<void>()
  #confirming: Promise<void> | undefined
  #renewTimer: Timer | undefined
  #fenceTimer: Timer | undefined
  #announced = false
  /** What stands under the lease, by key. */
  #published = new Map<string, string>()
  #ended = false
  /** What does not work at the moment, and has been said. */
  readonly #troubles = new Set<Trouble>()

  constructor(options: HostLeaseOptions) {
    this.#options = options
  }

  /** What to write under; undefined while this host may not write. */
  get current(): HeldLease | undefined {
    return this.#held
  }

  /** Resolves with the lease as soon as there is one; with undefined when `signal` aborts before. */
  async held(signal: AbortSignal): Promise<HeldLease | undefined> {
    const aborted = Promise.withResolvers<void>()
    const onAbort = () => aborted.resolve()
    signal.addEventListener("abort", onAbort, { once: true })
    while (this.#held === undefined && !signal.aborted) {
      await Promise.race([this.#gained.promise, aborted.promise])
    }
    signal.removeEventListener("abort", onAbort)
    return signal.aborted ? undefined : this.#held
  }

  get hostId(): string {
    return this.#options.hostId
  }

  get ttlMs(): number {
    return this.#options.ttlMs
  }

  /** Tells of every lease that is lost or gained from now on. */
  listen(listener: LeaseListener): void {
    this.#listeners.push(listener)
  }

  /** Resolves with the first lease held. Rejects when the store does not answer. */
  async start(): Promise<void> {
    await this.#gain()
  }

  /**
   * Writes what the host says of itself where it has changed; from the first call on it is written under every new
   * lease. What could not be written is with the next renewal.
   */
  async publish(): Promise<void> {
    this.#announced = true
    const lease = this.#held?.lease
    if (lease === undefined) return
    const { hostId, describe, describeMore } = this.#options
    const wanted = new Map([[hostKey(hostId), JSON.stringify(describe())], ...(describeMore?.() ?? [])])
    const published = this.#published
    for (const [key, value] of wanted) {
      if (published.get(key) !== value) await this.#put(published, { type: "put", key, value, lease })
    }
    for (const [key, value] of [...published]) if (!wanted.has(key)) await this.#delete(published, key, value)
  }

  async #delete(published: Map<string, string>, key: string, value: string): Promise<void> {
    published.delete(key)
    try {
      await this.#options.store.commit([], [{ type: "delete", key }])
    } catch (error) {
      if (!published.has(key)) published.set(key, value)
      throw error
    }
  }

  /** Each on its own: together they may be too large. Marked before, so that no other call writes it too. */
  async #put(published: Map<string, string>, write: Extract<Write, { type: "put" }>): Promise<void> {
    const { key, value } = write
    published.set(key, value)
    try {
      await this.#options.store.commit([], [write])
      this.#troubles.delete("the host's record could not be written")
    } catch (error) {
      if (published.get(key) === value) published.delete(key)
      throw error
    }
  }

  /**
   * A commit conflicted, and the fence may be why: looks whether it still stands. When not, the lease is lost at once,
   * so that nobody tries again in vain. Callers at the same moment share one look.
   */
  async confirm(): Promise<void> {
    const held = this.#held
    if (held === undefined) return
    this.#confirming ??= this.#lookAtFence(held).finally(() => {
      this.#confirming = undefined
    })
    await this.#confirming
  }

  async #lookAtFence(held: HeldLease): Promise<void> {
    const entry = await this.#options.store.get(held.fence.key)
    if (entry?.modRevision !== held.fence.modRevision && this.#held === held) this.#lose()
  }

  /** Gives the lease back: claims and record go at once, and other hosts take over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true
    clearTimeout(this.#renewTimer)
    clearTimeout(this.#fenceTimer)
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) await this.#options.store.revoke(held.lease)
  }

  async #gain(): Promise<void> {
    const askedAt = performance.now()
    const lease = await this.#options.store.grant(this.#options.ttlMs)
    const held = await this.#fence(lease)
    if (this.#ended) return await this.#options.store.revoke(lease)
    const tookMs = performance.now() - askedAt
    if (tookMs >= this.#fencedAfterMs) {
      await this.#options.store.revoke(lease)
      const message = `the store took ${Math.round(tookMs)} ms to give a lease of ${this.#options.ttlMs} ms`
      throw new ConveyorError("STORE_UNAVAILABLE", message)
    }
    this.#held = held
    this.#gained.resolve()
    this.#published = new Map()
    this.#renewLater({ timesPerTtl: renewalsPerTtl, sentAt: askedAt })
    this.#fenceAfter(askedAt)
    for (const { onGained } of this.#listeners) onGained()
  }

  /** Puts the key that goes with the lease. When that fails, so does the lease: nothing is left to wait for. */
  async #fence(lease: Lease): Promise<HeldLease> {
    const { store, hostId } = this.#options
    const key = hostLeaseKey(hostId)
    try {
      const modRevision = await store.commit([], [{ type: "put", key, value: "", lease }])
      if (modRevision !== undefined) return { lease, fence: { key, modRevision } }
    } catch (error) {
      await store.revoke(lease).catch(() => {})
      throw error
    }
    throw new ConveyorError(
      "STORE_UNAVAILABLE",
      "the lease was over before anything could be written under it",
    )
  }

  /** Counted from when the last renewal was sent: on a slow network its answer would leave too little time. */
  #renewLater({ timesPerTtl, sentAt }: { readonly timesPerTtl: number; readonly sentAt: number }): void {
    clearTimeout(this.#renewTimer)
    const leftMs = sentAt + this.#options.ttlMs / timesPerTtl - performance.now()
    this.#renewTimer = setTimeout(() => void this.#renew(), Math.max(0, leftMs))
  }

  async #renew(): Promise<void> {
    const held = this.#held
    if (held === undefined || this.#ended) return
    const sentAt = performance.now()
    const answer = await this.#options.store.keepAlive(held.lease).catch((error: unknown) => {
      this.#fail("the host's lease could not be renewed", error)
    })
    if (this.#held !== held || this.#ended) return
    if (answer === undefined) return this.#renewLater({ timesPerTtl: retriesPerTtl, sentAt })
    if (!answer) return this.#lose()
    this.#troubles.delete("the host's lease could not be renewed")
    this.#fenceAfter(sentAt)
    this.#renewLater({ timesPerTtl: renewalsPerTtl, sentAt })
    await this.#publishAgain()
  }

  async #publishAgain(): Promise<void> {
    if (!this.#announced) return
    try {
      await this.publish()
    } catch (error) {
      this.#fail("the host's record could not be written", error)
    }
  }

  get #fencedAfterMs(): number {
    return (this.#options.ttlMs * 2) / 3
  }

  #fenceAfter(renewedAt: number): void {
    clearTimeout(this.#fenceTimer)
    const leftMs = renewedAt + this.#fencedAfterMs - performance.now()
    if (leftMs <= 0) this.#lose()
    else this.#fenceTimer = setTimeout(() => this.#lose(), leftMs)
  }

  #lose(): void {
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    this.#gained = Promise.withResolvers<void>()
    clearTimeout(this.#renewTimer)
    clearTimeout(this.#fenceTimer)
    void this.#regain(held.lease, Promise.all(this.#listeners.map(({ onLost }) => onLost?.())))
  }

  /** Ends the old lease where it still lives, so that its claims do not outlive what they were made for. */
  async #regain(lost: Lease, stopped: Promise<unknown>): Promise<void> {
    await stopped
    while (!this.#ended) {
      try {
        await this.#options.store.revoke(lost)
        if (this.#ended) return
        await this.#gain()
        this.#troubles.clear()
        break
      } catch (error) {
        this.#fail("the host has no lease", error)
        await Bun.sleep(regrantMs)
      }
    }
    await this.#publishAgain()
  }

  /** Told once, however often it is tried. */
  #fail(trouble: Trouble, cause: unknown): void {
    if (!this.#troubles.has(trouble)) this.#options.onError(trouble, cause)
    this.#troubles.add(trouble)
  }
}

type Trouble =
  | "the host's lease could not be renewed"
  | "the host has no lease"
  | "the host's record could not be written"
