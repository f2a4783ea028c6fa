import type { HostRecord } from "../model/host.ts"
import { keyOf } from "../store/change.ts"
import { follow } from "../store/follow.ts"
import { prefixes } from "../store/keys.ts"
import type { Change, Listing, Store } from "../store/store.ts"

/** When a data folder had no host any more; `before`: it had none already when this API started. */
export interface Absence {
  readonly at: string
  readonly before: boolean
}

/** The hosts that live now, by their data folders. */
export interface KnownHosts {
  /** Those that run on this data folder, the newest first. For as long as a dead one's lease there may be two. */
  on(folder: string): readonly HostRecord[]
  /** Since when there is none. */
  absence(folder: string): Absence
  /** Resolves when a host has come, gone or changed; when `ms` are over; or when `signal` aborts. */
  change(ms: number, signal: AbortSignal): Promise<void>
}

export interface FollowHostsOptions {
  readonly signal: AbortSignal
  readonly now: () => Date
  readonly onError: (error: unknown) => void
}

/** Knows the hosts from now on, through one watch. Rejects when the store does not answer. */
export async function followHosts(store: Store, options: FollowHostsOptions): Promise<KnownHosts> {
  const { now, ...rest } = options
  const hosts = new HostsByFolder(now)
  await follow(store, {
    ...rest,
    list: prefixes.hosts,
    watch: prefixes.hosts,
    onListing: (listing) => hosts.restart(listing),
    onChanges: (changes) => hosts.observe(changes),
  })
  return hosts
}

class HostsByFolder implements KnownHosts {
  readonly #now: () => Date
  readonly #startedAt: string
  readonly #records = new Map<string, HostRecord>()
  /** When the last host of a folder went, as far as this API has seen it. */
  readonly #leftAt = new Map<string, string>()
  readonly #waiting = new Set<() => void>()

  constructor(now: () => Date) {
    this.#now = now
    this.#startedAt = now().toISOString()
  }

  on(folder: string): readonly HostRecord[] {
    return [...this.#records.values()]
      .filter((record) => record.folder === folder)
      .sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1))
  }

  absence(folder: string): Absence {
    const at = this.#leftAt.get(folder)
    return at === undefined ? { at: this.#startedAt, before: true } : { at, before: false }
  }

  async change(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    const wake = () => resolve()
    signal.addEventListener("abort", wake)
    this.#waiting.add(wake)
    await promise
    this.#waiting.delete(wake)
    signal.removeEventListener("abort", wake)
    clearTimeout(timer)
  }

  restart({ entries }: Listing): void {
    const alive = new Set(entries.map(({ key }) => key.slice(prefixes.hosts.length)))
    for (const hostId of [...this.#records.keys()]) if (!alive.has(hostId)) this.#remove(hostId)
    this.observe(entries.map((entry) => ({ type: "put", entry })))
  }

  observe(changes: readonly Change[]): void {
    for (const change of changes) {
      const hostId = keyOf(change).slice(prefixes.hosts.length)
      if (change.type === "put") this.#records.set(hostId, JSON.parse(change.entry.value) as HostRecord)
      else this.#remove(hostId)
    }
    for (const wake of [...this.#waiting]) wake()
  }

  #remove(hostId: string): void {
    const folder = this.#records.get(hostId)?.folder
    this.#records.delete(hostId)
    if (folder !== undefined) this.#leftAt.set(folder, this.#now().toISOString())
  }
}
