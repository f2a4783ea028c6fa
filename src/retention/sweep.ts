import type { Entry, Guard, Listing, Store } from "../store/store.ts"

/** What is kept, and for how long. What a run that has not ended needs is kept whatever is said here. */
export interface RetentionLimits {
  /** Ended runs older than this go. */
  readonly keepRunsForMs: number
  /** Of ended runs, this many of the newest stay at the most. */
  readonly keepRunsMax: number
  /** Of the earlier versions of each resource, this many of the newest stay; at least 1. */
  readonly keepVersionsMax: number
  /** Workspaces of runs that ended longer ago than this go. */
  readonly keepWorkspacesForMs: number
}

/** Two clocks: ages are told by the wall, and how long something has been watched by the other. */
export interface Moment {
  readonly wallMs: number
  readonly monotonicMs: number
}

/** One pass over the store by the host that holds the collector's key. */
export interface Sweep {
  readonly store: Store
  readonly limits: RetentionLimits
  /** When the pass began. */
  readonly at: Moment
  /** To be awaited between two pieces of work. Rejects when the pass is to end. */
  readonly pause: () => Promise<void>
  /** Holds for as long as this host is the collector. Every commit of a pass carries it. */
  readonly fence: Guard
}

/** Something in the store as it was seen. */
export type Seen = Pick<Entry, "key" | "modRevision">

/** Pages of what is under a prefix, with a pause between them. Each is consistent in itself, not with the others. */
export async function* pages(
  { store, pause }: Pick<Sweep, "store" | "pause">,
  prefix: string,
  pageMax = 100,
): AsyncGenerator<Listing> {
  let after: string | undefined
  for (;;) {
    const page = await store.list(prefix, { limit: pageMax, ...(after === undefined ? {} : { after }) })
    yield page
    after = page.entries.at(-1)?.key
    if (page.entries.length < pageMax || after === undefined) return
    await pause()
  }
}

/** How many entries {@link removeSeen} deletes in a commit: a guard and a delete each stay well below the limit. */
const removedMax = 50

/** Deletes what is still as it was seen; answers how much. What changed meanwhile stays, with what shares its commit. */
export async function removeSeen(sweep: Sweep, seen: readonly Seen[]): Promise<number> {
  let removed = 0
  for (let start = 0; start < seen.length; start += removedMax) {
    const part = seen.slice(start, start + removedMax)
    const guards = part.map(({ key, modRevision }) => ({ key, modRevision }))
    const deletes = part.map(({ key }) => ({ type: "delete", key }) as const)
    const revision = await sweep.store.commit([sweep.fence, ...guards], deletes)
    if (revision !== undefined) removed += part.length
    await sweep.pause()
  }
  return removed
}
