import { ConveyorError } from "../errors.ts"
import { revisionOf } from "./change.ts"
import type { Change, Listing, Revision, Store } from "./store.ts"

export interface FollowOptions {
  /** What is listed at the start, and again whenever history was lost. */
  readonly list: string
  /** What is watched from a listing's revision on; it may hold more than what is listed. */
  readonly watch: string
  readonly signal: AbortSignal
  readonly onListing: (listing: Listing) => void
  /** `revision` is that of the last change. */
  readonly onChanges: (changes: readonly Change[], revision: Revision) => void
  /** It broke for another reason than lost history, and is begun again where it was. Told once until it goes on. */
  readonly onError: (cause: unknown) => void
}

const retryMs = 200

/**
 * Follows a part of the store until `signal` aborts or the store is closed. The callbacks are called one at a time and in order.
 * Resolves once the first listing is in, and goes on behind; rejects when that first listing fails.
 */
export async function follow(store: Store, options: FollowOptions): Promise<void> {
  const listing = await store.list(options.list)
  options.onListing(listing)
  void keepFollowing(store, listing.revision, options)
}

async function keepFollowing(store: Store, since: Revision, options: FollowOptions): Promise<void> {
  const { list, watch, signal, onListing, onChanges, onError } = options
  let position: Revision | undefined = since
  let failing = false
  while (!signal.aborted) {
    try {
      if (position === undefined) {
        const listing = await store.list(list)
        onListing(listing)
        position = listing.revision
        failing = false
      }
      for await (const changes of store.watch(watch, position, signal)) {
        const last = changes.at(-1)
        if (last === undefined) continue
        position = revisionOf(last)
        failing = false
        onChanges(changes, position)
      }
      return
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ConveyorError && error.code === "COMPACTED") {
        position = undefined
      } else {
        if (!failing) onError(error)
        failing = true
      }
      await Bun.sleep(retryMs)
    }
  }
}
