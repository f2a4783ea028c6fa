import type { PipelineStep } from "../model/pipeline.ts"
import { present } from "../model/present.ts"
import type { StepState, Verdict } from "../model/run.ts"
import type { RunContent } from "../model/run-scope.ts"
import {
  describeSkip,
  type Phase,
  type Standings,
  type StepStates,
  standingsOf,
  type Upstream,
} from "../model/standing.ts"
import { verdictOf, withCleanup } from "../model/verdict.ts"
import { type ConditionOutlook, outlookOf } from "./condition-outlook.ts"
import { knowledgeAt } from "./dry-run-knowledge.ts"
import { givenTo } from "./dry-run-values.ts"
import type { DryRun, DryRunSources, PlannedStep, SkippedStep, Wave } from "./planned-run.ts"

/** The way through a pipeline. */
export type Walk = Pick<DryRun, "waves" | "skipped" | "verdict">

/**
 * Goes from wave to wave: all that is due goes side by side, and has ended when the next ones are looked for. `falsified`:
 * the step whose open condition is taken to be false; all others are taken to be true.
 */
export function walk(sources: DryRunSources, content: RunContent, falsified?: string): Walk {
  return new Walking(sources, content, falsified).toTheEnd()
}

class Walking {
  readonly #sources: DryRunSources
  readonly #content: RunContent
  readonly #falsified: string | undefined
  readonly #states = new Map<string, StepState>()
  readonly #conditions = new Map<string, ConditionOutlook>()
  readonly #waves: Wave[] = []
  #phase: Phase = { type: "way" }

  constructor(sources: DryRunSources, content: RunContent, falsified: string | undefined) {
    this.#sources = sources
    this.#content = content
    this.#falsified = falsified
  }

  toTheEnd(): Walk {
    for (;;) {
      const standings = this.#standings()
      const due = this.#sources.pipeline.steps.flatMap((step) => {
        const standing = standings.of.get(step.id)
        return standing?.type === "due" ? [{ step, upstream: standing.upstream }] : []
      })
      if (due.length > 0) this.#pass(due, standings)
      else if (this.#phase.type === "way" && !standings.allEnded) {
        this.#phase = { type: "cleanup", verdict: endOf(standings, this.#states).status }
      } else {
        return {
          waves: this.#waves,
          skipped: this.#skipped(standings),
          verdict: endOf(standings, this.#states),
        }
      }
    }
  }

  #standings(): Standings {
    const failFast = this.#sources.pipeline.failFast !== false
    return standingsOf(this.#sources.pipeline.steps, this.#states, { failFast, phase: this.#phase })
  }

  /** Ends all that is due: those whose condition is false are skipped, the others make a wave. */
  #pass(
    due: readonly { readonly step: PipelineStep; readonly upstream: Upstream }[],
    standings: Standings,
  ): void {
    const planned = due.flatMap(({ step, upstream }) => this.#plan(step, upstream, standings) ?? [])
    for (const step of planned) {
      const ended = step.condition?.outcome === "error" ? notStartedState(step) : endedState(step)
      this.#states.set(step.id, ended)
    }
    if (planned.length > 0) this.#waves.push(this.#waveOf(planned))
  }

  #plan(step: PipelineStep, status: Upstream, standings: Standings): PlannedStep | undefined {
    const { pipeline, fails, failures } = this.#sources
    const progress = { standings, states: this.#states }
    const around = { sources: this.#sources, content: this.#content, progress }
    const knowledge = knowledgeAt(step, { ...around, status })
    const condition =
      step.if === undefined ? undefined : outlookOf(step.if, knowledge, { implies: step.role === undefined })
    if (condition !== undefined) this.#conditions.set(step.id, condition)
    const isSkipped =
      condition?.outcome === "false" || (condition?.outcome === "open" && step.id === this.#falsified)
    if (condition !== undefined && isSkipped) {
      this.#states.set(step.id, skippedState(condition))
      return undefined
    }
    const given: ReturnType<typeof givenTo> =
      condition?.outcome === "error"
        ? present({ failure: condition.message })
        : // What has no value fails the step before its driver sees any of it.
          present({ failure: failures?.get(step.id), ...givenTo(step, knowledge, this.#sources) })
    return present({
      id: step.id,
      name: step.name,
      role: step.role?.type,
      driver: step.driver,
      after: pipeline.steps
        .filter(({ id }) => step.needs.includes(id) && (this.#states.get(id)?.attempt ?? 0) > 0)
        .map(({ id }) => id),
      outcome: fails.has(step.id) || given.failure !== undefined ? ("fails" as const) : ("succeeds" as const),
      condition,
      attempts: step.retry?.attempts,
      ...given,
    })
  }

  #waveOf(steps: readonly PlannedStep[]): Wave {
    if (this.#phase.type !== "way") return { part: "cleanup", steps }
    const { failFast, steps: all } = this.#sources.pipeline
    const way = steps.filter(({ role }) => role === undefined)
    const failing = way.filter(
      ({ id, outcome }) =>
        outcome === "fails" && all.find((step) => step.id === id)?.continueOnError !== true,
    )
    const isCut = failFast !== false && failing.length > 0 && way.length > failing.length
    return { part: "way", steps, ...(isCut ? { endedBy: failing.map(({ id }) => id) } : {}) }
  }

  #skipped(standings: Standings): readonly SkippedStep[] {
    return this.#sources.pipeline.steps.flatMap(({ id, name, role, driver }): SkippedStep[] => {
      const standing = standings.of.get(id)
      const condition = this.#conditions.get(id)
      const base = present({ id, name, role: role?.type, driver, condition })
      if (this.#states.get(id)?.status === "skipped") {
        return [{ ...base, message: "its condition is false", because: { type: "condition" } }]
      }
      if (standing?.type !== "skipped") return []
      return [{ ...base, message: describeSkip(standing.because), because: standing.because }]
    })
  }
}

const at = "1970-01-01T00:00:00.000Z"

function endedState({ outcome, failure = "" }: PlannedStep): StepState {
  const status = outcome === "fails" ? "failed" : "succeeded"
  const result = { success: outcome !== "fails", message: failure }
  return { status, attempt: 1, driverHash: "", hostId: "", startedAt: at, finishedAt: at, result }
}

/** It fails for its condition, and is never attempted. */
function notStartedState({ failure = "" }: PlannedStep): StepState {
  return { status: "failed", attempt: 0, finishedAt: at, result: { success: false, message: failure } }
}

function skippedState({ expression, values }: ConditionOutlook): StepState {
  return { status: "skipped", attempt: 0, finishedAt: at, condition: { expression, values } }
}

/** The end of the run, should nothing more happen. */
function endOf({ failed, failedCleanup }: Standings, states: StepStates): Verdict {
  return withCleanup(verdictOf(failed, states), failedCleanup, states)
}
