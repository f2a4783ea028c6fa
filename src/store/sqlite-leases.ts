import type { Lease } from "./store.ts"

interface Held {
  readonly ttlMs: number
  endsAt: number
}

/**
 * The leases of one process, by a monotonic clock. It knows when they end; deleting their entries is the store's part,
 * which `onExpired` starts.
 */
export class SqliteLeases implements Disposable {
  readonly #held = new Map<string, Held>()
  readonly #now: () => number
  readonly #onExpired: (id: string) => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #timerAt = Number.POSITIVE_INFINITY

  constructor(now: () => number, onExpired: (id: string) => void) {
    this.#now = now
    this.#onExpired = onExpired
  }

  /** A new lease, its time beginning now. */
  grant(ttlMs: number): Lease {
    const lease = { id: crypto.randomUUID(), ttlMs }
    const endsAt = this.#now() + ttlMs
    this.#held.set(lease.id, { ttlMs, endsAt })
    this.#wakeBy(endsAt)
    return lease
  }

  /** Its time begins anew. False when it has ended. */
  renew(id: string): boolean {
    const held = this.#held.get(id)
    if (held === undefined || !this.alive(id)) return false
    held.endsAt = this.#now() + held.ttlMs
    return true
  }

  alive(id: string): boolean {
    const held = this.#held.get(id)
    return held !== undefined && this.#now() < held.endsAt
  }

  /** It never comes alive again. */
  end(id: string): void {
    this.#held.delete(id)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#held.clear()
  }

  /** One timer for the earliest end. A renewal leaves it: it then finds nothing to do and is set again. */
  #wakeBy(at: number): void {
    if (at >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    // The longest a timer takes; should it come early, it is set again.
    const delay = Math.min(Math.max(1, Math.ceil(at - this.#now())), 2 ** 31 - 1)
    this.#timer = setTimeout(() => this.#expire(), delay)
    this.#timer.unref()
  }

  #expire(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    for (const id of [...this.#held.keys()]) {
      if (this.alive(id)) continue
      this.#held.delete(id)
      this.#onExpired(id)
    }
    let earliest = Number.POSITIVE_INFINITY
    for (const { endsAt } of this.#held.values()) earliest = Math.min(earliest, endsAt)
    if (earliest < Number.POSITIVE_INFINITY) this.#wakeBy(earliest)
  }
}
