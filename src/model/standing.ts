import { usesStatus } from "./expression-reads.ts"
import { onceFor } from "./once-for.ts"
import type { PipelineStep, StepRole } from "./pipeline.ts"
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
  /** An `ensure` step whose own step was not attempted in this run. */
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
  | { readonly type: "running"; readonly calledOff: boolean; readonly upstream: Upstream }
  /** It has been attempted, waits for another attempt, and gets none: the run goes on without it. */
  | { readonly type: "calledOff" }
  | { readonly type: "skipped"; readonly because: SkipReason; readonly couldStart: boolean }
  | { readonly type: "ended"; readonly status: "succeeded" | "failed" | "cancelled" | "skipped" }

/**
 * How far a run is: on its way; decided, so that no step of the way starts any more; or at its cleanup, which every host
 * knows that no step of the way can be running beside. `abandoned`: somebody wants nothing to be cleaned up.
 */
export type Phase =
  | { readonly type: "way" | "abandoned" }
  | { readonly type: "over" | "cleanup"; readonly verdict: Verdict["status"] }

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
  /** Skipped in a run that goes on as well: not because the run was failing, or over. */
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
    const upstream = upstreamOfCleanup(step.role)
    if (state?.status === "running") {
      return { type: "running", calledOff: phase.type === "abandoned", upstream: upstream ?? allWell }
    }
    const unattempted: SkipReason | undefined =
      step.role.type === "ensure" && upstream === undefined && by.length === 0
        ? { type: "unattempted", stepId: step.role.of }
        : undefined
    if (phase.type === "abandoned") {
      if (wasAttempted(state)) return { type: "calledOff" }
      return { type: "skipped", because: unattempted ?? { type: "over" }, couldStart: false }
    }
    if (by.length > 0) return { type: "blocked", by }
    if (unattempted !== undefined) return { type: "skipped", because: unattempted, couldStart: false }
    const isTurn = step.role.type === "ensure" || phase.type === "cleanup"
    return isTurn && upstream !== undefined ? { type: "due", upstream } : { type: "blocked", by }
  }

  /** What a cleanup step is told: of its own step, or of the way as a whole. Undefined for a step not attempted. */
  function upstreamOfCleanup(role: StepRole): Upstream | undefined {
    if (role.type === "ensure") {
      const state = states.get(role.of)
      const step = graph.byId.get(role.of)
      if (step === undefined || state === undefined || !wasAttempted(state)) return undefined
      const failure = hasFailed(step, state)
      return { success: !failure && state.status !== "cancelled", failure }
    }
    if (phase.type !== "over" && phase.type !== "cleanup") return allWell
    const tidy = !steps.some((step) => step.role?.type === "ensure" && hasFailed(step, states.get(step.id)))
    return {
      success: phase.verdict === "succeeded" && tidy,
      failure: phase.verdict === "failed" || (phase.verdict === "succeeded" && !tidy),
    }
  }

  function placeOnTheWay(
    step: PipelineStep,
    { by, flow, state }: { by: readonly string[]; flow: Flow; state: StepState | undefined },
  ): Standing {
    const handles = handlesEnds(step)
    const failed: SkipReason | undefined =
      handles || failing === undefined ? undefined : { type: "failing", stepId: failing }
    const inVain = skippedBefore(step, flow)
    const stopped = failed ?? (phase.type === "way" ? undefined : { type: "over" as const })
    const upstream = { success: flow.brokenBy === undefined, failure: flow.anyFailed }
    if (state?.status === "running") return { type: "running", calledOff: stopped !== undefined, upstream }
    const couldStart = by.length === 0 && (handles || flow.brokenBy === undefined)
    if (stopped !== undefined) {
      if (wasAttempted(state)) return { type: "calledOff" }
      return { type: "skipped", because: isCutShort(inVain) ? stopped : (inVain ?? stopped), couldStart }
    }
    if (by.length > 0) {
      return { type: "blocked", by, ...(inVain?.type === "upstream" ? { brokenBy: inVain.stepId } : {}) }
    }
    if (inVain !== undefined) return { type: "skipped", because: inVain, couldStart: false }
    return { type: "due", upstream }
  }

  /** Is it only that the end of the run, which is not for a failure, cut a step before it short? */
  function isCutShort(reason: SkipReason | undefined): boolean {
    if (reason?.type !== "upstream" || failing !== undefined) return false
    return states.get(reason.stepId)?.status === "cancelled"
  }
}

/** Does its condition decide itself what failures before it mean? There may be more conditions than stay compiled. */
const handlesEnds = onceFor((step: PipelineStep) => step.if !== undefined && usesStatus(step.if))

/** Why a step will not start because of the steps before it, however the run goes on, and also when it is over. */
function skippedBefore(step: PipelineStep, { brokenBy, skipped }: Flow): SkipReason | undefined {
  if (!handlesEnds(step) && brokenBy !== undefined) return { type: "upstream", stepId: brokenBy }
  return step.if === undefined && skipped ? { type: "needs" } : undefined
}

const allWell: Upstream = { success: true, failure: false }

/** What a step is for those after it: its own end, over what came before. */
function outflowOf(step: PipelineStep, standing: Standing, { flow }: { readonly flow: Flow }): Flow {
  switch (standing.type) {
    case "skipped": {
      const { because } = standing
      return { ...flow, ended: true, skipped: because.type !== "failing" && because.type !== "over" }
    }
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

/**
 * In this run, and since the step was to be done last: neither an attempt of the run that this one does again counts, nor
 * those before the run was held and mended. What they made was cleaned up then.
 */
function wasAttempted(state: StepState | undefined): boolean {
  if (state === undefined || state.attempt === 0 || "keptFrom" in state) return false
  return state.status !== "pending" && state.status !== "skipped"
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
  const phase = phaseOf(run)
  const standings = standingsOf(steps, states, { failFast: failsFast, phase })
  if (phase.type !== "over" || run.status !== "running" || !standings.wayEnded || standings.allEnded) {
    return standings
  }
  // The header says how the run ends, and its records that all of the way is over: it cleans up.
  return standingsOf(steps, states, { failFast: failsFast, phase: { ...phase, type: "cleanup" } })
}

/** How far a run is by its header alone. Whether its cleanup has begun is a matter of what its host knows. */
export function phaseOf(run: Run): Phase {
  if (isEnded(run.status)) return { type: "abandoned" }
  const stopping = run.status === "running" ? run.stopping : undefined
  if (stopping === undefined && run.cancelRequestedAt === undefined) return { type: "way" }
  if (run.cancel?.cleanup === false) return { type: "abandoned" }
  return { type: "over", verdict: stopping?.status ?? "cancelled" }
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
      return `step "${because.stepId}" was not attempted in this run`
    default:
      return because satisfies never
  }
}
