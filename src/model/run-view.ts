import type { RunConcurrency } from "./concurrency.ts"
import type { DataRef, DriverResult, RecordedResult } from "./driver.ts"
import type { ResourceEvent } from "./event.ts"
import type { Pipeline, PipelineStep, StepRole } from "./pipeline.ts"
import { present } from "./present.ts"
import {
  type Condition,
  describeWaiting,
  type Run,
  type RunStatus,
  type StepState,
  type StepStatus,
} from "./run.ts"
import { stepsOfRun } from "./run-steps.ts"
import { describeSkip, runStandings, type Standing, type Standings, stateStatus } from "./standing.ts"

/** A run as the API shows it: the header and the steps put together, with what the records leave implied. */
export interface RunView {
  readonly runId: string
  readonly status: RunStatus
  /** Why it ended so, or, while nothing of it runs, what it waits for. Empty where there is nothing to say. */
  readonly message: string
  readonly event: ResourceEvent
  readonly resource: { readonly type: string; readonly name: string; readonly version: number }
  readonly pipeline?: { readonly name: string; readonly hash: string }
  /** The content of each driver that the run is pinned to, by its name. */
  readonly drivers?: { readonly [driver: string]: string }
  /** The run this one does again. It may be gone by now. */
  readonly rerunOf?: string
  /** The concurrency key it holds or held, or with `queuedAt`, waits for. */
  readonly concurrency?: RunConcurrency
  /** Since when it waits, about to fail, for its pipeline or a driver to be mended. */
  readonly heldSince?: string
  readonly createdAt: string
  readonly startedAt?: string
  readonly finishedAt?: string
  /** From start to finish; absent before it has finished. */
  readonly durationMs?: number
  readonly cancelRequestedAt?: string
  /** In the pipeline's order. */
  readonly steps: readonly StepView[]
}

export interface StepView {
  readonly id: string
  readonly name?: string
  /** What it is for, when it is no step of the way. */
  readonly role?: StepRole["type"]
  readonly driver: string
  readonly needs: readonly string[]
  readonly status: StepStatus
  /** The result's message, what it waits for, or why it was skipped. May be empty. */
  readonly message: string
  /** The newest attempt; 0 before the first. */
  readonly attempt: number
  readonly driverHash?: string
  readonly hostId?: string
  readonly startedAt?: string
  readonly finishedAt?: string
  /** Of the newest attempt. */
  readonly durationMs?: number
  readonly result?: ResultView
  /** The run whose result this is, when this one began behind it. */
  readonly keptFrom?: string
  /** Its `if`, which was false, and what that read. */
  readonly condition?: Condition
}

/** A driver result; large data is behind a path of the API. */
export type ResultView =
  | DriverResult
  | {
      readonly success: boolean
      readonly message: string
      readonly data?: never
      readonly dataRef: Pick<DataRef, "bytes" | "sha256"> & { readonly url: string }
    }

/** Puts a run together from its records. `pipeline`: the revision it is pinned to; a run without one has its own steps. */
export function viewRun(
  run: Run,
  pipeline: Pick<Pipeline, "steps" | "failFast"> | undefined,
  states: ReadonlyMap<string, StepState>,
): RunView {
  const steps = stepsOfRun(run, pipeline)
  const standings = runStandings(run, steps, { states, failFast: pipeline?.failFast !== false })
  const views = steps.map((step) =>
    viewStep(run.runId, step, { state: states.get(step.id), standing: standings.of.get(step.id) }),
  )
  return {
    ...present({
      runId: run.runId,
      status: run.status,
      message: runMessage(run, views, standings),
      event: run.event,
      resource: run.resource,
      pipeline: run.pipeline,
      drivers: run.drivers,
      rerunOf: run.rerunOf,
      concurrency: run.concurrency,
      heldSince: run.status === "running" ? run.held?.since : undefined,
      createdAt: run.createdAt,
      cancelRequestedAt: run.cancelRequestedAt,
    }),
    ...timesOf(run),
    steps: views,
  }
}

/** While nothing of it runs, a run that has not ended always says what it waits for. */
function runMessage(run: Run, steps: readonly StepView[], standings: Standings): string {
  if ("message" in run) return run.message
  const live = steps.filter((step) => step.status === "running")
  const stopping = run.status === "running" ? run.stopping : undefined
  if (stopping !== undefined || run.cancelRequestedAt !== undefined) {
    const attempts = live.map((step) => `attempt ${step.attempt} of "${step.id}" on ${step.hostId}`)
    const waits =
      live.length > 0 ? `waiting for ${attempts.join(", ")} to end` : waitMessage(run, steps, standings)
    return [stopping?.message ?? "cancelling", waits].filter(Boolean).join("; ")
  }
  if (run.status === "running" && run.held !== undefined) {
    return `held since ${run.held.since}: ${run.held.verdict.message}; save the mended pipeline or driver, or cancel`
  }
  if (run.concurrency?.queuedAt !== undefined) {
    const { key, queuedAt } = run.concurrency
    return `waiting for the concurrency key "${key}" since ${queuedAt}`
  }
  if (live.length > 0) return ""
  return waitMessage(run, steps, standings) ?? `no host has gone on with it yet; ${explainAt(run)}`
}

/** What a run waits for of which nothing runs: what its waiting steps say, or that a host is to take one up. */
function waitMessage(run: Run, steps: readonly StepView[], { of }: Standings): string | undefined {
  const waiting = steps.filter((step) => step.status === "waiting").map((step) => step.message)
  if (waiting.length > 0) return [...new Set(waiting)].join("; ")
  const next = steps.find((step) => of.get(step.id)?.type === "due")
  return next && `no host has started "${next.id}" yet; ${explainAt(run)}`
}

function explainAt({ runId }: Run): string {
  return `GET /runs/${runId}/explain says why`
}

function viewStep(
  runId: string,
  step: PipelineStep,
  { state, standing }: { readonly state: StepState | undefined; readonly standing: Standing | undefined },
): StepView {
  const status = stateStatus(state, standing)
  const attempted = state !== undefined && "hostId" in state ? state : undefined
  return {
    ...present({
      id: step.id,
      name: step.name,
      role: step.role?.type,
      driver: step.driver,
      needs: step.needs,
      status,
      message: messageOf(state, standing),
      attempt: state?.attempt ?? 0,
      driverHash: attempted?.driverHash,
      hostId: attempted?.hostId,
      keptFrom: attempted !== undefined && "keptFrom" in attempted ? attempted.keptFrom : undefined,
      condition: state?.status === "skipped" ? state.condition : undefined,
    }),
    ...(state === undefined || state.status === "waiting" ? {} : timesOf(state)),
    ...(state !== undefined && "result" in state
      ? { result: viewResult(state.result, { runId, stepId: step.id }) }
      : {}),
  }
}

function viewResult(
  result: RecordedResult,
  { runId, stepId }: { readonly runId: string; readonly stepId: string },
): ResultView {
  if (result.dataRef === undefined) return result
  const { bytes, sha256 } = result.dataRef
  return { ...result, dataRef: { bytes, sha256, url: `/runs/${runId}/steps/${stepId}/data` } }
}

function messageOf(state: StepState | undefined, standing: Standing | undefined): string {
  if (standing?.type === "skipped") return describeSkip(standing.because)
  if (state === undefined) return ""
  switch (state.status) {
    case "pending":
      return ""
    case "waiting":
      return describeWaiting(state.waitingFor)
    case "skipped":
      return `its condition is false: ${state.condition.expression}`
    case "running":
      return state.probing === undefined ? "" : `finding out how attempt ${state.probing.attempt} ended`
    case "succeeded":
    case "failed":
    case "cancelled":
      return state.result.message
    default:
      return state satisfies never
  }
}

function timesOf(record: Run | StepState) {
  const startedAt = "startedAt" in record ? record.startedAt : undefined
  const finishedAt = "finishedAt" in record ? record.finishedAt : undefined
  return {
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(startedAt === undefined || finishedAt === undefined
      ? {}
      : // Not below nothing, also where the clock was set back in between.
        { durationMs: Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)) }),
  }
}
