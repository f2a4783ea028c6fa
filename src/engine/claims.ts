import type { HostRecord } from "../model/host.ts"
import { hostKey } from "../store/keys.ts"
import type { Lease, Store } from "../store/store.ts"

/** How long to wait before the store is asked again, when it did not give a lease. */
const regrantMs = 500
/** How often a lease is renewed within its TTL, and how often that is tried when the store did not answer. */
const renewalsPerTtl = 3
const retriesPerTtl = 15

export interface HostLeaseOptions {
  readonly store: Store
  readonly ttlMs: number
  /** The host's record, as of now. It stands in the store for as long as the lease lives. */
  readonly describe: () => HostRecord
  /**
   * The lease may be gone: everything that was claimed under it must stop now. Called once for each lease lost; its
   * claims are left to others when it resolves, or when the lease ends. Never rejects.
   */
  readonly onLost: () => Promise<void>
  /** A lease was gained, at first or anew: claims can be made again. */
  readonly onGained: () => void
  /** Told once of an outage, not of every try in it. */
  readonly onError: (message: string, cause: unknown) => void
}

/**
 * A host's lease: what its claims and its record lie under. It is kept alive every third of its TTL, and tried again
 * soon when the store did not answer, so that a short outage costs no attempt. A host fences itself by its own monotonic clock at two thirds of the TTL after the last renewal was *sent*: others see its claims
 * go at the full TTL at the earliest, so there is never a moment at which two hosts believe they hold one attempt.
 */
export class HostLease implements AsyncDisposable {
  readonly #options: HostLeaseOptions
  #lease: Lease | undefined
  #renewTimer: Timer | undefined
  #fenceTimer: Timer | undefined
  #published = ""
  #ended = false
  /** The last word of the store was an error, and that has been said. */
  #failing = false

  constructor(options: HostLeaseOptions) {
    this.#options = options
  }

  /** The lease to claim under; undefined while this host may not claim. */
  get current(): Lease | undefined {
    return this.#lease
  }

  /** Resolves with the first lease held and the host's record in the store. Rejects when the store does not answer. */
  async start(): Promise<void> {
    await this.#gain()
    await this.publish()
  }

  /** Writes the host's record again if it has changed. One that could not be written is with the next renewal. */
  async publish(): Promise<void> {
    const lease = this.#lease
    const record = this.#options.describe()
    const value = JSON.stringify(record)
    if (lease === undefined || value === this.#published) return
    this.#published = value
    try {
      await this.#options.store.commit([], [{ type: "put", key: hostKey(record.hostId), value, lease }])
    } catch (error) {
      if (this.#published === value) this.#published = ""
      throw error
    }
  }

  /** Gives the lease back: claims and record go at once, and other hosts take over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true
    clearTimeout(this.#renewTimer)
    clearTimeout(this.#fenceTimer)
    const lease = this.#lease
    this.#lease = undefined
    if (lease !== undefined) await this.#options.store.revoke(lease)
  }

  async #gain(): Promise<void> {
    const askedAt = performance.now()
    const lease = await this.#options.store.grant(this.#options.ttlMs)
    if (this.#ended) return await this.#options.store.revoke(lease)
    this.#lease = lease
    this.#published = ""
    this.#renewLater(renewalsPerTtl)
    this.#fenceAfter(askedAt)
    this.#options.onGained()
  }

  #renewLater(timesPerTtl: number): void {
    clearTimeout(this.#renewTimer)
    this.#renewTimer = setTimeout(() => void this.#renew(), this.#options.ttlMs / timesPerTtl)
  }

  async #renew(): Promise<void> {
    const lease = this.#lease
    if (lease === undefined || this.#ended) return
    const sentAt = performance.now()
    let timesPerTtl = renewalsPerTtl
    try {
      const alive = await this.#options.store.keepAlive(lease)
      if (this.#lease !== lease) return
      if (!alive) return this.#lose()
      this.#fenceAfter(sentAt)
      await this.publish()
      this.#failing = false
    } catch (error) {
      this.#fail("the host's lease could not be renewed", error)
      timesPerTtl = retriesPerTtl
    }
    if (this.#lease === lease && !this.#ended) this.#renewLater(timesPerTtl)
  }

  #fenceAfter(renewedAt: number): void {
    clearTimeout(this.#fenceTimer)
    const leftMs = renewedAt + (this.#options.ttlMs * 2) / 3 - performance.now()
    if (leftMs <= 0) this.#lose()
    else this.#fenceTimer = setTimeout(() => this.#lose(), leftMs)
  }

  #lose(): void {
    const lease = this.#lease
    if (lease === undefined) return
    this.#lease = undefined
    clearTimeout(this.#renewTimer)
    clearTimeout(this.#fenceTimer)
    void this.#regain(lease, this.#options.onLost())
  }

  /** Ends the old lease where it still lives, so that its claims do not outlive what they were made for. */
  async #regain(lost: Lease, stopped: Promise<void>): Promise<void> {
    await stopped
    while (!this.#ended) {
      try {
        await this.#options.store.revoke(lost)
        if (this.#ended) return
        await this.#gain()
        break
      } catch (error) {
        this.#fail("the host has no lease", error)
        await Bun.sleep(regrantMs)
      }
    }
    await this.publish().catch((error: unknown) =>
      this.#fail("the host's record could not be written", error),
    )
  }

  #fail(message: string, cause: unknown): void {
    if (!this.#failing) this.#options.onError(message, cause)
    this.#failing = true
  }
}
