import { ConveyorError } from "../errors.ts"
import { prefixes } from "../store/keys.ts"
import type { Change, Revision, Store } from "../store/store.ts"

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
  /** Changes after this revision are seen. */
  readonly since: Revision
  /** Ends the feed. */
  readonly signal: AbortSignal
  /** Sees every change of every run, such as to count them. */
  readonly onChange?: (change: Change) => void
  /** Told of what broke the watch, which is begun again. */
  readonly onError: (error: unknown) => void
}

const retryMs = 250

/** Starts the feed. */
export function startRunFeed(options: RunFeedOptions): RunFeed {
  const listeners = new Map<string, Set<RunListener>>()
  void follow(options, listeners)
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

async function follow(options: RunFeedOptions, listeners: Listeners): Promise<void> {
  let { since } = options
  while (!options.signal.aborted) {
    try {
      for await (const changes of options.store.watch(prefixes.runs, since, options.signal)) {
        for (const change of changes) {
          options.onChange?.(change)
          dispatch(change, listeners)
        }
        const last = changes.at(-1)
        if (last !== undefined) since = revisionOf(last)
      }
      return
    } catch (error) {
      if (options.signal.aborted) return
      since = await recover(error, { ...options, since, listeners })
    }
  }
}

/** The revision to watch on from. Where history is gone, everyone is told to read anew. */
async function recover(
  error: unknown,
  options: RunFeedOptions & { readonly since: Revision; readonly listeners: Listeners },
): Promise<Revision> {
  const compacted = error instanceof ConveyorError && error.code === "COMPACTED"
  if (!compacted) {
    options.onError(error)
    await Bun.sleep(retryMs)
    return options.since
  }
  try {
    const revision = await currentRevision(options.store)
    for (const ofRun of options.listeners.values()) for (const listener of ofRun) listener({ type: "reset" })
    return revision
  } catch (failed) {
    options.onError(failed)
    await Bun.sleep(retryMs)
    return options.since
  }
}

function dispatch(change: Change, listeners: Listeners): void {
  if (listeners.size === 0) return
  const runId = runIdOf(change.type === "put" ? change.entry.key : change.key)
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

function revisionOf(change: Change): Revision {
  return change.type === "put" ? change.entry.modRevision : change.modRevision
}

async function currentRevision(store: Store): Promise<Revision> {
  return (await store.list(prefixes.activeRuns, { limit: 1 })).revision
}
