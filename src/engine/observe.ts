import type { Pipeline } from "../model/pipeline.ts"
import type { Resource } from "../model/resource.ts"
import { type Claim, isEnded, type Run, type StepState } from "../model/run.ts"
import { keyOf, revisionOf } from "../store/change.ts"
import {
  claimKey,
  claimsPrefix,
  parseRunKey,
  type RunKey,
  runKey,
  stepKey,
  stepsPrefix,
} from "../store/keys.ts"
import type { Change, Guard, Revision, Store } from "../store/store.ts"
import type { Now, Observed } from "./decision.ts"
import type { HeldData } from "./large-data.ts"

/**
 * What this host knows of one run: its records as last seen, by the watch, by a read, or by this host's own commits.
 * Each key only ever moves forward: news that is older than what is known is dropped, whichever way it came.
 */
export class ObservedRun {
  readonly runId: string
  /** The revision that brought it into being. */
  readonly madeAt: Revision
  header: Run | undefined
  readonly states = new Map<string, StepState>()
  readonly claims = new Map<string, Claim>()
  /** Steps that are left to another host, and until when (monotonic). Forgotten with the next news of the step. */
  readonly left = new Map<string, number>()
  /** Read when they are first needed. Only a run that was held and mended goes on with another revision. */
  pipeline: { readonly hash: string; readonly content: Pipeline } | undefined
  resource: Resource | undefined
  /** Large data of its results, while it is looked at. */
  data: HeldData | undefined
  #complete: boolean
  /** When what is timed is over, on the monotonic clock: fixed when it is first asked for. */
  readonly #due = new Map<string, number>()
  /** How often news were missed. */
  #misses = 0
  /** The revision each key was last seen to change at, deletions included. */
  readonly #seenAt = new Map<string, Revision>()

  constructor(
    runId: string,
    { complete, madeAt }: { readonly complete: boolean; readonly madeAt: Revision },
  ) {
    this.runId = runId
    this.madeAt = madeAt
    this.#complete = complete
  }

  /** Are all records of the run here? False until they are read, and again when news were missed. */
  get complete(): boolean {
    return this.#complete
  }

  /** Is the pipeline that its header names here? A header that says that the run was mended may have come since. */
  get hasItsPipeline(): boolean {
    const { header } = this
    return header === undefined || isEnded(header.status) || header.pipeline?.hash === this.pipeline?.hash
  }

  /** News of the run may have been missed: it has to be read again, also when it is being read at this moment. */
  missedNews(): void {
    this.#complete = false
    this.#misses++
  }

  /** Is the step held, as far as is known, by this host for this attempt? */
  isHeld(stepId: string, { hostId, attempt }: Claim): boolean {
    const claim = this.claims.get(stepId)
    return claim?.hostId === hostId && claim.attempt === attempt
  }

  /** See {@link Observed.dueMs}. */
  dueMs(since: string, durationMs: number, now: Now): number {
    const timer = `${since}+${durationMs}`
    let due = this.#due.get(timer)
    if (due === undefined) {
      const leftMs = Date.parse(since) + durationMs - now.wallMs
      due = now.monotonicMs + Math.min(Math.max(0, leftMs), durationMs)
      this.#due.set(timer, due)
    }
    return due
  }

  /** Takes one change in; `key` is its key, parsed. Answers whether it was news. */
  observe(key: RunKey, change: Change): boolean {
    const at = revisionOf(change)
    const name = keyOf(change)
    if (at <= (this.#seenAt.get(name) ?? 0)) return false
    this.#seenAt.set(name, at)
    const value: unknown =
      change.type === "put" && key.type !== "active" ? JSON.parse(change.entry.value) : undefined
    switch (key.type) {
      case "header":
        this.header = value as Run | undefined
        return true
      case "step":
        setOrDelete(this.states, key.stepId, value as StepState | undefined)
        this.left.delete(key.stepId)
        return true
      case "claim":
        setOrDelete(this.claims, key.stepId, value as Claim | undefined)
        return true
      case "active":
        return false
      default:
        key satisfies never
        return false
    }
  }

  /** Takes in what this host itself committed at `revision`. */
  wroteHeader(run: Run, revision: Revision): void {
    if (this.#isNews(runKey(this.runId), revision)) this.header = run
  }
  wroteState(stepId: string, state: StepState, revision: Revision): void {
    if (this.#isNews(stepKey(this.runId, stepId), revision)) this.states.set(stepId, state)
  }
  wroteClaim(stepId: string, claim: Claim | undefined, revision: Revision): void {
    if (this.#isNews(claimKey(this.runId, stepId), revision)) setOrDelete(this.claims, stepId, claim)
  }

  #isNews(key: string, revision: Revision): boolean {
    if (revision <= (this.#seenAt.get(key) ?? 0)) return false
    this.#seenAt.set(key, revision)
    return true
  }

  /** Guards that hold as long as the record is as we know it. */
  headerGuard(): Guard {
    return this.#guard(runKey(this.runId), this.header !== undefined)
  }
  stateGuard(stepId: string): Guard {
    return this.#guard(stepKey(this.runId, stepId), this.states.has(stepId))
  }
  claimGuard(stepId: string): Guard {
    return this.#guard(claimKey(this.runId, stepId), this.claims.has(stepId))
  }

  #guard(key: string, exists: boolean): Guard {
    return { key, modRevision: exists ? (this.#seenAt.get(key) ?? 0) : 0 }
  }

  /** The revision the header was last seen to change at. */
  get headerRevision(): Revision {
    return this.#seenAt.get(runKey(this.runId)) ?? 0
  }

  /**
   * Reads all records of the run from the store. What is gone there is gone here, unless it is newer here. News that
   * are missed meanwhile may be newer than what was read: then the run is not complete afterwards.
   */
  async read(store: Store): Promise<void> {
    const misses = this.#misses
    const header = await store.get(runKey(this.runId))
    if (header !== undefined)
      this.observe({ type: "header", runId: this.runId }, { type: "put", entry: header })
    for (const prefix of [stepsPrefix(this.runId), claimsPrefix(this.runId)]) {
      const { revision, entries } = await store.list(prefix)
      const present = new Set(entries.map((entry) => entry.key))
      for (const entry of entries) this.#observeKey({ type: "put", entry })
      for (const key of this.#knownKeys(prefix)) {
        if (!present.has(key)) this.#observeKey({ type: "delete", key, modRevision: revision })
      }
    }
    this.#complete = this.#misses === misses
  }

  #observeKey(change: Change): void {
    const key = parseRunKey(keyOf(change))
    if (key !== undefined) this.observe(key, change)
  }

  #knownKeys(prefix: string): string[] {
    return [...this.#seenAt.keys()].filter((key) => key.startsWith(prefix))
  }
}

function setOrDelete<Value>(map: Map<string, Value>, key: string, value: Value | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}
