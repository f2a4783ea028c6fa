import { isEnded, type Run } from "../model/run.ts"
import { keyOf } from "../store/change.ts"
import { parseRunKey, prefixes } from "../store/keys.ts"
import type { Change, Listing, Revision } from "../store/store.ts"
import { ObservedRun } from "./observe.ts"

/**
 * The runs an engine knows: every run that has not ended, kept current by the watch. `wake` is called with each run
 * about which something new is known.
 */
export class KnownRuns {
  readonly #wake: (runId: string) => void
  readonly #runs = new Map<string, ObservedRun>()
  /** Runs to look at again when the watch has shown their newest header. */
  readonly #behind = new Set<string>()
  /** Runs that have ended and are kept until the watch has passed their end, lest old news bring them back. */
  readonly #ended = new Map<string, Revision>()
  #watched: Revision = 0

  constructor(wake: (runId: string) => void) {
    this.#wake = wake
  }

  get(runId: string): ObservedRun | undefined {
    return this.#runs.get(runId)
  }

  /** Has the watch delivered everything up to the run's newest header? */
  isCaughtUp(run: ObservedRun): boolean {
    return this.#watched >= run.headerRevision
  }

  /**
   * Was the run with this id, which has not ended, made after this one? By the store's history, not by any clock; what
   * shares a commit is told by its ids. One not known here yet was made after all that are.
   */
  isNewer(runId: string, than: ObservedRun): boolean {
    const other = this.#runs.get(runId)
    if (other === undefined || other.madeAt === than.madeAt) return other === undefined || runId > than.runId
    return other.madeAt > than.madeAt
  }

  /** Wakes every run. */
  wakeAll(): void {
    for (const runId of this.#runs.keys()) this.#wake(runId)
  }

  /** Wakes the run, if it is known here. */
  wakeKnown(runId: string): void {
    if (this.#runs.has(runId)) this.#wake(runId)
  }

  /** Wakes every run that is held, waiting for something to be mended. */
  wakeHeld(): void {
    for (const { runId, header } of this.#runs.values()) {
      if (header !== undefined && "held" in header) this.#wake(runId)
    }
  }

  /** Wakes the run once it {@link isCaughtUp}. */
  wakeWhenCaughtUp(runId: string): void {
    this.#behind.add(runId)
  }

  /** News of any run may have been missed: each is read anew before it goes on. */
  missedNews(): void {
    for (const run of this.#runs.values()) run.missedNews()
  }

  /** Starts, or starts anew, from a listing of the active marks, which say which runs are not over. */
  restart({ entries, revision }: Listing): void {
    this.#watched = revision
    for (const { key, createRevision } of entries)
      this.#track(key.slice(prefixes.activeRuns.length), { complete: false, madeAt: createRevision })
    // What is known here and not active there is over, and the news of it was lost: reading it tells.
    for (const [runId, run] of this.#runs) {
      run.missedNews()
      this.#wake(runId)
    }
  }

  /** Takes in what the watch delivers; `revision` is that of the last change. */
  observe(changes: readonly Change[], revision: Revision): void {
    for (const change of changes) {
      const key = parseRunKey(keyOf(change))
      if (key === undefined || key.type === "active") continue
      const run = this.#runs.get(key.runId) ?? this.#meet(key.runId, key.type, change)
      if (run?.observe(key, change)) this.#wake(key.runId)
    }
    this.#watched = revision
    for (const runId of this.#behind) {
      if ((this.#runs.get(runId)?.headerRevision ?? 0) > revision) continue
      this.#behind.delete(runId)
      this.#wake(runId)
    }
    for (const [runId, endedAt] of this.#ended) if (endedAt <= revision) this.forget(runId)
  }

  /** A run not known yet is met by its header; other news of unknown runs are about runs that have ended. */
  #meet(runId: string, type: "header" | "step" | "claim", change: Change): ObservedRun | undefined {
    if (type !== "header" || change.type !== "put") return undefined
    const { createRevision: madeAt, modRevision } = change.entry
    const isNew = madeAt === modRevision
    if (!isNew && isEnded((JSON.parse(change.entry.value) as Run).status)) return undefined
    return this.#track(runId, { complete: isNew, madeAt })
  }

  #track(runId: string, options: { readonly complete: boolean; readonly madeAt: Revision }): ObservedRun {
    const known = this.#runs.get(runId)
    if (known !== undefined) return known
    const run = new ObservedRun(runId, options)
    this.#runs.set(runId, run)
    return run
  }

  /** The run has ended, and nothing is left to be done about it: it is forgotten, as soon as that is safe. */
  end(run: ObservedRun): void {
    if (this.isCaughtUp(run)) this.forget(run.runId)
    else this.#ended.set(run.runId, run.headerRevision)
  }

  forget(runId: string): void {
    this.#runs.delete(runId)
    this.#ended.delete(runId)
  }
}
