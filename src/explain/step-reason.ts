import type { PipelineStep } from "../model/pipeline.ts"
import { present } from "../model/present.ts"
import { isNew, type StepState } from "../model/run.ts"
import { type Standing, stateStatus } from "../model/standing.ts"
import { concurrencyWait } from "./concurrency-wait.ts"
import type { ConditionOutlook } from "./condition-outlook.ts"
import type { Explaining } from "./explain-sources.ts"
import type { Blocker, Reason } from "./explanation.ts"
import { runningReason } from "./running-reason.ts"
import { isoAfter, placeFor, placeReason, queuedSince, startingReason } from "./step-place.ts"

/** One step, and what is known of it. */
interface Situation extends Explaining {
  readonly standing: Standing
  readonly condition: ConditionOutlook | undefined
}

/** Why a step is where it is. */
export function reasonOf(step: PipelineStep, situation: Situation): Reason {
  const { standing, sources } = situation
  const state = sources.states.get(step.id)
  switch (standing.type) {
    case "ended":
      return endedReason(state)
    case "skipped":
      return { type: "skipped", because: standing.because }
    case "calledOff":
      return { type: "calledOff" }
    case "running":
      return runningReason(step, standing.calledOff, situation)
    case "blocked":
      return heldReason(situation) ?? blockedReason(step, standing, situation)
    case "due":
      return heldReason(situation) ?? dueReason(step, situation)
    default:
      standing satisfies never
      throw new Error("every standing has its reason")
  }
}

function endedReason(state: StepState | undefined): Reason {
  if (state?.status === "skipped") return { type: "skipped", because: { type: "condition" } }
  if (state === undefined || !("result" in state)) throw new Error("a step that has ended has a result")
  const { status, attempt, result } = state
  return present({
    type: "ended" as const,
    status,
    attempt,
    hostId: "hostId" in state ? state.hostId : undefined,
    durationMs: "startedAt" in state ? Date.parse(state.finishedAt) - Date.parse(state.startedAt) : undefined,
    result: result.message,
    keptFrom: "keptFrom" in state ? state.keptFrom : undefined,
  })
}

function heldReason({ sources: { run, pipeline } }: Situation): Reason | undefined {
  if (run.status !== "running" || run.held === undefined || run.cancelRequestedAt !== undefined) {
    return undefined
  }
  const { since } = run.held
  const until = pipeline?.holdMs === undefined ? undefined : isoAfter(since, pipeline.holdMs)
  return present({ type: "held" as const, since, until })
}

function blockedReason(
  step: PipelineStep,
  { by, brokenBy }: Standing & { readonly type: "blocked" },
  { sources, standings }: Situation,
): Reason {
  const blocker = (stepId: string): Blocker => ({
    stepId,
    status: stateStatus(sources.states.get(stepId), standings.of.get(stepId)),
  })
  if (step.role?.type !== "finally" && step.role?.type !== "deferred") {
    const found = sources.hosts.length === 0 ? undefined : placeFor(step, { sources })
    const place = found?.type === "driver" || found?.type === "content" ? found : undefined
    return present({ type: "blocked" as const, by: by.map(blocker), brokenBy, place })
  }
  const before = sources.steps.filter(({ id, role }) => {
    const type = standings.of.get(id)?.type
    return (role === undefined || role.type === "ensure") && type !== "ended" && type !== "skipped"
  })
  const ids = new Set([...before.map(({ id }) => id), ...by])
  if (ids.size === 0 && sources.hosts.length === 0) return { type: "place", place: { type: "noHost" } }
  return { type: "lastOfAll", by: [...ids].map(blocker) }
}

function dueReason(step: PipelineStep, situation: Situation): Reason {
  const { sources, standings, condition } = situation
  const state = sources.states.get(step.id)
  if (state?.status === "waiting") {
    const waits = waitingReason(step, state, situation)
    if (waits !== undefined) return waits
  }
  const queued = concurrencyWait(sources)
  if (queued !== undefined) return queued
  const place = placeFor(step, situation)
  if (place.type === "noHost") return placeReason(step, state, place)
  const { outcome } = condition ?? {}
  if (isNew(state) && (outcome === "false" || outcome === "error")) {
    return { type: "conditionDue", outcome }
  }
  if (queuedSince(state) !== undefined && place.type !== "free") return placeReason(step, state, place)
  const running = sources.steps.filter(({ id }) => standings.of.get(id)?.type === "running")
  const maxParallel = sources.pipeline?.maxParallel ?? Number.POSITIVE_INFINITY
  if (running.length >= maxParallel) {
    return { type: "maxParallel", maxParallel, running: running.map(({ id }) => id) }
  }
  return place.type === "free" ? startingReason(step, place, sources) : placeReason(step, state, place)
}

/** What a waiting step waits for, where that is no host: undefined once the wait is over. */
function waitingReason(
  { id, retry, queueTimeoutMs }: PipelineStep,
  { waitingFor, attempt, since, resolution }: StepState & { readonly status: "waiting" },
  { sources: { lastLines, nowMs } }: Situation,
): Reason | undefined {
  if (waitingFor.type === "timer") {
    const { until } = waitingFor
    if (Date.parse(until) <= nowMs) return undefined
    const lastLine = lastLines.get(id)
    return present({ type: "timer" as const, until, attempt, attemptsMax: retry?.attempts, lastLine })
  }
  if (waitingFor.type === "data") {
    const { stepId, bytes, hostId } = waitingFor
    const until = queueTimeoutMs === undefined ? undefined : isoAfter(since, queueTimeoutMs)
    return present({ type: "data" as const, of: stepId, bytes, hostId, since, until })
  }
  if (waitingFor.type !== "resolution" || resolution?.outcome === "retry") return undefined
  const { interrupted } = waitingFor
  const resolved = resolution !== undefined
  return { type: "resolution", attempt: interrupted.attempt, hostId: interrupted.hostId, since, resolved }
}
