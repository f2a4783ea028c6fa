import { usesStatus } from "./expression-reads.ts"
import type { PipelineStep } from "./pipeline.ts"
import { isEnded, type Run, type StepState, type StepStatus, type Verdict } from "./run.ts"
import { graphOf } from "./step-graph.ts"

/*
 * Where the steps of a run stand, from their records and nothing else. Pure: the engine plans by it, and the API shows
 * and explains it, so that they cannot disagree. What is implied has no record: a step that is skipped because of what
 * came before it needs none.
 */

/** What an `if` is told by `success()` and `failure()`. */
export interface Upstream {
  /** Nothing it waits for has failed or was cancelled, near or far. */
  readonly success: boolean
  readonly failure: boolean
}

/** Why a step that has no record of its own will not start. */
export type SkipReason =
  /** A step it needs, near or far, failed or was cancelled. */
  | { readonly type: "upstream"; readonly stepId: string }
  /** All it needs were skipped. */
  | { readonly type: "needs" }
  /** The run fails at its first failure, and this was it. */
  | { readonly type: "failing"; readonly stepId: string }
  /** No step of the way starts any more: the run was cancelled, or its time is over. */
  | { readonly type: "over" }
  /** An `ensure` step whose own step was never attempted. */
  | { readonly type: "unattempted"; readonly stepId: string }

/*
 *   blocked ──► due ──► active ──► ended
 *       └────────┴──► skipped
 */
export type Standing =
  /** These have not ended. `brokenBy`: it will be skipped when they have, for this one did not succeed. */
  | { readonly type: "blocked"; readonly by: readonly string[]; readonly brokenBy?: string }
  /** All it waits for has ended; its `if` decides, where it has one. A waiting step whose wait is over is due, too. */
  | { readonly type: "due"; readonly upstream: Upstream }
  /** It runs, by its record. `calledOff`: it has to end, for the run goes on without it. */
  | { readonly type: "running"; readonly calledOff: boolean }
  /** It has been attempted, waits for another attempt, and gets none: the run goes on without it. */
  | { readonly type: "calledOff" }
  | { readonly type: "skipped"; readonly because: SkipReason; readonly couldStart: boolean }
  | { readonly type: "ended"; readonly status: "succeeded" | "failed" | "cancelled" | "skipped" }

/**
 * How far a run is: on its way; decided, so that no step of the way starts any more; or at its cleanup, which every host
 * knows that no step of the way can be running beside.
 */
export type Phase =
  | { readonly type: "way" | "over" }
  /** Somebody wants nothing to be cleaned up. */
  | { readonly type: "abandoned" }
  | { readonly type: "cleanup"; readonly verdict: Verdict["status"] }

export interface Standings {
  /** In the order of `steps`. */
  readonly of: ReadonlyMap<string, Standing>
  /** The first step of the way that failed, in the pipeline's order. */
  readonly failed: string | undefined
  /** Cleanup steps that failed, in the pipeline's order. */
  readonly failedCleanup: readonly string[]
  /** All steps of the way have ended, with their ensure steps. */
  readonly wayEnded: boolean
  /** Everything has ended. */
  readonly allEnded: boolean
}

/** The records of a run's steps, by id. */
export type StepStates = Pick<ReadonlyMap<string, StepState>, "get">

/** What is known of the steps further up, as each is passed on to the next. */
interface Flow {
  readonly ended: boolean
  readonly skipped: boolean
  /** The step whose failure, or cancellation, keeps those after it from starting. */
  readonly brokenBy: string | undefined
  readonly anyFailed: boolean
}

/** Works out where each step stands. `failFast`: the first failure ends the other branches. */
export function standingsOf(
  steps: readonly PipelineStep[],
  states: StepStates,
  { failFast, phase }: { readonly failFast: boolean; readonly phase: Phase },
): Standings {
  const failed = steps.find((step) => step.role === undefined && hasFailed(step, states.get(step.id)))?.id
  const failing = failFast ? failed : undefined
  const graph = graphOf(steps)
  const found = new Map<string, Standing>()
  const flows = new Map<string, Flow>()
  let wayEnded = true
  let allEnded = true

  for (const step of graph.inOrder) {
    const inflow = inflowOf(step)
    const standing = place(step, inflow)
    found.set(step.id, standing)
    flows.set(step.id, outflowOf(step, standing, inflow))
    if (standing.type !== "ended" && standing.type !== "skipped") {
      allEnded = false
      if (step.role === undefined || step.role.type === "ensure") wayEnded = false
    }
  }
  return {
    of: new Map(steps.map(({ id }) => [id, found.get(id) as Standing])),
    failed,
    failedCleanup: steps
      .filter((step) => step.role !== undefined && hasFailed(step, states.get(step.id)))
      .map(({ id }) => id),
    wayEnded,
    allEnded,
  }

  function inflowOf(step: PipelineStep): { readonly by: readonly string[]; readonly flow: Flow } {
    const by: string[] = []
    let brokenBy: string | undefined
    let anyFailed = false
    let skipped = step.needs.length > 0
    for (const need of step.needs) {
      const flow = flows.get(need)
      if (flow === undefined) continue
      if (!flow.ended) by.push(need)
      if (step.role === undefined) {
        for (const { id } of graph.ensuresOf(need)) if (flows.get(id)?.ended === false) by.push(id)
      }
      if (!flow.skipped) skipped = false
      anyFailed ||= flow.anyFailed
      if (step.optional?.includes(need) !== true) brokenBy ??= flow.brokenBy
    }
    return { by, flow: { ended: by.length === 0, skipped, brokenBy, anyFailed } }
  }

  function place(step: PipelineStep, { by, flow }: ReturnType<typeof inflowOf>): Standing {
    const state = states.get(step.id)
    if (state !== undefined && isOver(state)) return { type: "ended", status: state.status }
    if (step.role === undefined) return placeOnTheWay(step, { by, flow, state })
    if (phase.type === "abandoned") {
      if (state?.status === "running") return { type: "running", calledOff: true }
      return wasAttempted(state)
        ? { type: "calledOff" }
        : { type: "skipped", because: { type: "over" }, couldStart: false }
    }
    if (state?.status === "running") return { type: "running", calledOff: false }
    switch (step.role.type) {
      case "ensure": {
        if (by.length > 0) return { type: "blocked", by }
        const { of } = step.role
        const upstream = ensuredUpstream(graph.byId.get(of), states.get(of))
        return upstream === undefined
          ? { type: "skipped", because: { type: "unattempted", stepId: of }, couldStart: false }
          : { type: "due", upstream }
      }
      case "finally":
      case "deferred": {
        if (phase.type !== "cleanup" || by.length > 0) return { type: "blocked", by }
        const { verdict } = phase
        return { type: "due", upstream: { success: verdict === "succeeded", failure: verdict === "failed" } }
      }
      default:
        step.role satisfies never
        throw new Error("every role has its place")
    }
  }

  function placeOnTheWay(
    step: PipelineStep,
    { by, flow, state }: { by: readonly string[]; flow: Flow; state: StepState | undefined },
  ): Standing {
    const handles = step.if !== undefined && usesStatus(step.if)
    const failed: SkipReason | undefined =
      handles || failing === undefined ? undefined : { type: "failing", stepId: failing }
    const stopped = failed ?? (phase.type === "way" ? undefined : { type: "over" as const })
    if (state?.status === "running") return { type: "running", calledOff: stopped !== undefined }
    const couldStart = by.length === 0 && (handles || flow.brokenBy === undefined)
    if (stopped !== undefined) {
      if (wasAttempted(state)) return { type: "calledOff" }
      const { brokenBy } = flow
      const because =
        brokenBy === undefined || handles ? stopped : ({ type: "upstream", stepId: brokenBy } as const)
      return { type: "skipped", because, couldStart }
    }
    if (by.length > 0) {
      const isDoomed = !handles && flow.brokenBy !== undefined
      return { type: "blocked", by, ...(isDoomed ? { brokenBy: flow.brokenBy } : {}) }
    }
    if (!handles && flow.brokenBy !== undefined) {
      return { type: "skipped", because: { type: "upstream", stepId: flow.brokenBy }, couldStart: false }
    }
    if (step.if === undefined && flow.skipped) {
      return { type: "skipped", because: { type: "needs" }, couldStart: false }
    }
    return { type: "due", upstream: { success: flow.brokenBy === undefined, failure: flow.anyFailed } }
  }
}

/** What a step is for those after it: its own end, over what came before. */
function outflowOf(step: PipelineStep, standing: Standing, { flow }: { readonly flow: Flow }): Flow {
  switch (standing.type) {
    case "skipped":
      return { ...flow, ended: true, skipped: true }
    case "ended": {
      const { status } = standing
      const failed = status === "failed" && step.continueOnError !== true
      const broken = failed || status === "cancelled"
      return {
        ended: true,
        skipped: status === "skipped",
        brokenBy: flow.brokenBy ?? (broken ? step.id : undefined),
        anyFailed: flow.anyFailed || failed,
      }
    }
    case "blocked":
    case "due":
    case "running":
    case "calledOff":
      return { ...flow, ended: false, skipped: false }
    default:
      standing satisfies never
      throw new Error("every standing flows on")
  }
}

function hasFailed(step: PipelineStep, state: StepState | undefined): boolean {
  return state?.status === "failed" && step.continueOnError !== true
}

function isOver(
  state: StepState,
): state is StepState & { status: "succeeded" | "failed" | "cancelled" | "skipped" } {
  return state.status !== "running" && state.status !== "waiting" && state.status !== "pending"
}

/** An ensure step is told of its own step; undefined when that was never attempted. */
function ensuredUpstream(step: PipelineStep | undefined, state: StepState | undefined): Upstream | undefined {
  if (step === undefined || state === undefined || !wasAttempted(state)) return undefined
  const failure = hasFailed(step, state)
  return { success: !failure && state.status !== "cancelled", failure }
}

function wasAttempted(state: StepState | undefined): boolean {
  return state !== undefined && state.attempt > 0
}

/** What a step shows as its status: its record's, or what its standing implies. */
export function stateStatus(state: StepState | undefined, standing: Standing | undefined): StepStatus {
  if (standing?.type === "skipped") return "skipped"
  if (standing?.type === "calledOff") return "cancelled"
  return state?.status ?? "pending"
}

/** Where the steps of a run stand, as far as its header says that it has come. */
export function runStandings(
  run: Run,
  steps: readonly PipelineStep[],
  { states, failFast }: { readonly states: StepStates; readonly failFast: boolean },
): Standings {
  const failsFast = failFast && run.pipeline !== undefined
  if (isEnded(run.status))
    return standingsOf(steps, states, { failFast: failsFast, phase: { type: "abandoned" } })
  const phase = phaseOf(run)
  const standings = standingsOf(steps, states, { failFast: failsFast, phase })
  if (run.status !== "running" || phase.type !== "over" || !standings.wayEnded || standings.allEnded) {
    return standings
  }
  // The header says how the run ends, and its records that all of the way is over: it cleans up.
  const verdict = run.stopping?.status ?? "cancelled"
  const failed = verdict === "succeeded" && standings.failedCleanup.length > 0
  const cleanup = { type: "cleanup", verdict: failed ? "failed" : verdict } as const
  return standingsOf(steps, states, { failFast: failsFast, phase: cleanup })
}

function phaseOf(run: Run): Phase {
  const isOver =
    run.cancelRequestedAt !== undefined || (run.status === "running" && run.stopping !== undefined)
  if (!isOver) return { type: "way" }
  return { type: run.cancel?.cleanup === false ? "abandoned" : "over" }
}

/** Why a step is skipped, in words. */
export function describeSkip(because: SkipReason): string {
  switch (because.type) {
    case "upstream":
      return `step "${because.stepId}" before it did not succeed`
    case "needs":
      return "all steps it needs were skipped"
    case "failing":
      return `the run fails since step "${because.stepId}" failed`
    case "over":
      return "the run was over before it could start"
    case "unattempted":
      return `step "${because.stepId}" was never attempted`
    default:
      return because satisfies never
  }
}
