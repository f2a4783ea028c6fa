import type { ConcurrencyRecord } from "../model/concurrency.ts"
import type { DataRef } from "../model/driver.ts"
import { present } from "../model/present.ts"
import type { Run, StepState } from "../model/run.ts"
import type { StepStates } from "../model/standing.ts"
import type { CurrentPipeline } from "./current-pipelines.ts"
import type { Effect, Now, Observed, Plan, Transition } from "./decision.ts"
import { type Pending, type Running, type Skipped, type Waiting, withPlacesOf } from "./step-states.ts"

/** A plan in the making: the decisions so far, laid over what is observed, so that later ones see them. */
export class Draft {
  readonly observed: Observed
  readonly now: Now
  /** The header as it will be. */
  run: Run
  /** The pipeline the header names from this plan on. */
  current: CurrentPipeline | undefined
  /** Attempts that start here by this plan. */
  startCount = 0
  starved = false
  behind = false
  readonly #lacking = new Set<DataRef>()
  readonly #settled: Transition[] = []
  readonly #started: Transition[] = []
  readonly #effects: Effect[] = []
  readonly #changed = new Map<string, StepState>()
  #key: (Transition & { type: "header" })["key"]
  #wakeAtMs = Number.POSITIVE_INFINITY

  constructor(observed: Observed, now: Now) {
    this.observed = observed
    this.now = now
    this.run = observed.run
  }

  /** The records of the steps, as they will be where that is settled. */
  readonly states: StepStates = {
    get: (stepId) => this.#changed.get(stepId) ?? this.observed.states.get(stepId),
  }

  /** Is the step's end a part of this very plan? */
  settles(stepId: string): boolean {
    return this.#changed.has(stepId)
  }

  /** How many steps this plan settles. */
  get settledCount(): number {
    return this.#changed.size
  }

  settle(stepId: string, ended: StepState): void {
    const state = withPlacesOf(this.states.get(stepId), ended)
    this.#changed.set(stepId, state)
    this.#settled.push({ type: "settle", stepId, state })
  }

  reset(stepId: string, pending: Pending): void {
    const state = withPlacesOf(this.states.get(stepId), pending)
    this.#settled.push({ type: "reset", stepId, state })
  }

  release(stepId: string): void {
    this.#settled.push({ type: "release", stepId })
  }

  start(stepId: string, state: Running): void {
    this.#started.push({ type: "start", stepId, state })
    this.startCount++
  }

  /** Writes down that a step waits, where that is news. */
  wait(stepId: string, waits: Waiting | undefined): void {
    if (waits === undefined) return
    const state = withPlacesOf(this.states.get(stepId), waits)
    this.#started.push({ type: "wait", stepId, state })
  }

  skip(stepId: string, state: Skipped): void {
    this.#started.push({ type: "skip", stepId, state })
  }

  /** Who holds and awaits the run's concurrency key from this plan's header on. */
  keep(name: string, record: ConcurrencyRecord | undefined): void {
    this.#key = { name, record }
  }

  effect(effect: Effect): void {
    this.#effects.push(effect)
  }

  /** Has large data brought here before the run is planned again. */
  lack(ref: DataRef): void {
    this.#lacking.add(ref)
  }

  wakeAt(monotonicMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, monotonicMs)
  }

  /** Is this time after `since` over? If not, the run is looked at again when it is. */
  isOver(since: string, durationMs: number): boolean {
    const dueMs = this.observed.dueMs(since, durationMs)
    if (this.now.monotonicMs >= dueMs) return true
    this.wakeAt(dueMs)
    return false
  }

  result(): Plan {
    const more = present({ key: this.#key, current: this.current })
    const header: Transition[] =
      this.run === this.observed.run && this.#key === undefined
        ? []
        : [{ type: "header", run: this.run, ...more }]
    return {
      transitions: [...this.#settled, ...header, ...this.#started],
      effects: this.#effects,
      wakeAtMs: this.#wakeAtMs,
      starved: this.starved,
      behind: this.behind,
      lacking: [...this.#lacking],
    }
  }
}
