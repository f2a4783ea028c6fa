import { collectorKey } from "../store/keys.ts"
import type { Guard, Lease, Revision, Store } from "../store/store.ts"

interface Held {
  readonly lease: Lease
  readonly revision: Revision
  readonly renewedAtMs: number
}

/**
 * The collector's key: whoever put it collects, and every commit of a collector is guarded by it, so that two of them
 * can never delete at the same time. It lies under a lease of its own and goes when its host does.
 */
export class CollectorLease implements AsyncDisposable {
  readonly #store: Store
  readonly #hostId: string
  readonly #ttlMs: number
  #held: Held | undefined

  constructor(store: Store, { hostId, ttlMs }: { readonly hostId: string; readonly ttlMs: number }) {
    this.#store = store
    this.#hostId = hostId
    this.#ttlMs = ttlMs
  }

  /**
   * The guard that holds as long as this host is the collector; undefined when another one is. Renews the lease when a
   * third of its time is over. One call at a time.
   */
  async hold(): Promise<Guard | undefined> {
    this.#held = this.#held === undefined ? await this.#take() : await this.#renew(this.#held)
    return this.#held && { key: collectorKey, modRevision: this.#held.revision }
  }

  /** Leaves the collecting to another host. */
  async [Symbol.asyncDispose](): Promise<void> {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) await this.#store.revoke(held.lease)
  }

  async #renew(held: Held): Promise<Held | undefined> {
    const sentAtMs = performance.now()
    if (sentAtMs - held.renewedAtMs < this.#ttlMs / 3) return held
    return (await this.#store.keepAlive(held.lease)) ? { ...held, renewedAtMs: sentAtMs } : undefined
  }

  async #take(): Promise<Held | undefined> {
    if ((await this.#store.get(collectorKey)) !== undefined) return undefined
    const renewedAtMs = performance.now()
    const lease = await this.#store.grant(this.#ttlMs)
    const put = { type: "put", key: collectorKey, value: this.#hostId, lease } as const
    const revision = await this.#store.commit([{ key: collectorKey, modRevision: 0 }], [put])
    if (revision !== undefined) return { lease, revision, renewedAtMs }
    await this.#store.revoke(lease)
    return undefined
  }
}
