import { ConveyorError } from "../errors.ts"
import type { HostRecord } from "../model/host.ts"
import { moveKey, prefixes } from "./keys.ts"
import type { Entry, Revision, Store } from "./store.ts"

/** What a store holds at one moment, without what goes with a host that runs. */
export interface Snapshot {
  readonly revision: Revision
  /** How many entries there are. */
  readonly count: number
  /** The entries in the order of their keys, read page by page. Throws `COMPACTED` when the store forgets the moment. */
  entries(): AsyncGenerator<Entry>
}

/** Takes a snapshot. Throws `STORE_CORRUPT` when a move into the store has not finished. */
export async function takeSnapshot(store: Store): Promise<Snapshot> {
  await refuseUnfinishedMove(store)
  const { revision } = await store.list("", { limit: 1 })
  const entries = () => lastingEntries(store, revision)
  let count = 0
  for await (const _ of entries()) count++
  return { revision, count, entries }
}

/** Few enough that a page of the greatest values fits into memory many times. */
const pageMax = 200

/** All entries of a store as of one revision, leased ones too, in the order of their keys. Default: of now. */
export async function* entriesOf(store: Store, asOf?: Revision): AsyncGenerator<Entry> {
  let revision = asOf
  let after: string | undefined
  for (;;) {
    const page = await store.list("", {
      limit: pageMax,
      ...(after === undefined ? {} : { after }),
      ...(revision === undefined ? {} : { revision }),
    })
    yield* page.entries
    if (page.entries.length < pageMax) return
    revision = page.revision
    after = page.entries.at(-1)?.key
  }
}

/** Leased entries say who runs now: hosts and their claims. They mean nothing elsewhere. */
export async function* lastingEntries(store: Store, asOf?: Revision): AsyncGenerator<Entry> {
  for await (const entry of entriesOf(store, asOf)) {
    if (entry.lease === undefined && entry.key !== moveKey) yield entry
  }
}

/** Throws `DATA_IN_USE`, naming them, while hosts run on this store. */
export async function refuseLiveHosts(store: Store): Promise<void> {
  const { entries } = await store.list(prefixes.hosts)
  if (entries.length === 0) return
  const hosts = entries.map(({ value }) => (JSON.parse(value) as HostRecord).hostId).join(", ")
  throw new ConveyorError(
    "DATA_IN_USE",
    `Hosts run on this store: ${hosts}. Stop them; the lease of one that died has to end first`,
  )
}

/** Throws `STORE_CORRUPT` when a move into the store has not finished: what is there is only a part. */
export async function refuseUnfinishedMove(store: Store): Promise<void> {
  if ((await store.get(moveKey)) === undefined) return
  throw new ConveyorError(
    "STORE_CORRUPT",
    "A move into this store has not finished, so it holds only a part. Repeat the import or copy",
  )
}
