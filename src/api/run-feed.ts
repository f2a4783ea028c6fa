import { keyOf } from "../store/change.ts"
import { follow } from "../store/follow.ts"
import { prefixes } from "../store/keys.ts"
import type { Change, Listing, Store } from "../store/store.ts"

/**
 * What a listener is told: a change under `runs/`, or that changes were missed (`reset`), so that what it knows must
 * be read anew.
 */
export type RunFeedEvent = Change | { readonly type: "reset" }
export type RunListener = (event: RunFeedEvent) => void

/**
 * All changes of runs, seen through one watch for the whole API, however many wait for a run. Listeners are called
 * in the order of the changes and must not throw.
 */
export interface RunFeed {
  /** Tells the listener each change of this run from now on; answers how to stop. */
  subscribe(runId: string, listener: RunListener): () => void
}

export interface RunFeedOptions {
  readonly store: Store
  /** Ends the feed. */
  readonly signal: AbortSignal
  /** Sees the marks of active runs: at the start, and when changes were missed. */
  readonly onActive?: (listing: Listing) => void
  /** Sees every change of every run after that, such as to count them. */
  readonly onChange?: (change: Change) => void
  /** Told of what broke the watch, which is begun again. */
  readonly onError: (error: unknown) => void
}

/** Starts the feed. Resolves when it will see every later change; rejects when the store does not answer. */
export async function startRunFeed(options: RunFeedOptions): Promise<RunFeed> {
  const { store, signal, onActive, onChange, onError } = options
  const listeners = new Map<string, Set<RunListener>>()
  await follow(store, {
    list: prefixes.activeRuns,
    watch: prefixes.runs,
    signal,
    onError,
    onListing(listing) {
      onActive?.(listing)
      for (const ofRun of listeners.values()) for (const listener of [...ofRun]) listener({ type: "reset" })
    },
    onChanges(changes) {
      for (const change of changes) {
        onChange?.(change)
        dispatch(change, listeners)
      }
    },
  })
  return {
    subscribe(runId, listener) {
      const ofRun = listeners.get(runId) ?? new Set()
      listeners.set(runId, ofRun.add(listener))
      return () => {
        ofRun.delete(listener)
        if (ofRun.size === 0 && listeners.get(runId) === ofRun) listeners.delete(runId)
      }
    },
  }
}

type Listeners = ReadonlyMap<string, ReadonlySet<RunListener>>

function dispatch(change: Change, listeners: Listeners): void {
  if (listeners.size === 0) return
  const runId = runIdOf(keyOf(change))
  const ofRun = runId === undefined ? undefined : listeners.get(runId)
  if (ofRun !== undefined) for (const listener of [...ofRun]) listener(change)
}

/** The run a key is about, without taking the rest apart: this runs for every change of every run. */
function runIdOf(key: string): string | undefined {
  const start = key.indexOf("/", prefixes.runs.length) + 1
  if (start === 0) return undefined
  const end = key.indexOf("/", start)
  return end < 0 ? key.slice(start) : key.slice(start, end)
}
