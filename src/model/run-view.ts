import type { DriverResult } from "./driver.ts"
import type { ResourceEvent } from "./event.ts"
import type { PipelineStep } from "./pipeline.ts"
import { describeWaiting, isEnded, type Run, type RunStatus, type StepState, type StepStatus } from "./run.ts"

/** A run as the API shows it: the header and the steps put together, with what the records leave implied. */
export interface RunView {
  readonly runId: string
  readonly status: RunStatus
  /** Why it ended so, or what it waits for now. May be empty. */
  readonly message: string
  readonly event: ResourceEvent
  readonly resource: { readonly type: string; readonly name: string; readonly version: number }
  readonly pipeline?: { readonly name: string; readonly hash: string }
  /** The content of each driver that the run is pinned to, by its name. */
  readonly drivers?: { readonly [driver: string]: string }
  /** The run this one does again. It may be gone by now. */
  readonly rerunOf?: string
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
  readonly driver: string
  readonly needs: readonly string[]
  readonly status: StepStatus
  /** The result's message, or what it waits for. May be empty. */
  readonly message: string
  /** The newest attempt; 0 before the first. */
  readonly attempt: number
  readonly driverHash?: string
  readonly hostId?: string
  readonly startedAt?: string
  readonly finishedAt?: string
  /** Of the newest attempt. */
  readonly durationMs?: number
  readonly result?: DriverResult
}

/** Puts a run together from its records. `steps` are those of its pipeline revision, or its own without a pipeline. */
export function viewRun(
  run: Run,
  steps: readonly PipelineStep[],
  states: ReadonlyMap<string, StepState>,
): RunView {
  const views = steps.map((step) => viewStep(step, states.get(step.id), run.status))
  return {
    runId: run.runId,
    status: run.status,
    message: runMessage(run, views),
    event: run.event,
    resource: run.resource,
    ...(run.pipeline === undefined ? {} : { pipeline: run.pipeline }),
    ...(run.drivers === undefined ? {} : { drivers: run.drivers }),
    ...(run.rerunOf === undefined ? {} : { rerunOf: run.rerunOf }),
    createdAt: run.createdAt,
    ...timesOf(run),
    ...(run.cancelRequestedAt === undefined ? {} : { cancelRequestedAt: run.cancelRequestedAt }),
    steps: views,
  }
}

function runMessage(run: Run, steps: readonly StepView[]): string {
  if ("message" in run) return run.message
  if (run.status === "running" && run.stopping !== undefined) return run.stopping.message
  if (run.cancelRequestedAt !== undefined) return "cancelling"
  const running = steps.some((step) => step.status === "running")
  const waiting = steps.filter((step) => step.status === "waiting").map((step) => step.message)
  return running ? "" : [...new Set(waiting)].join("; ")
}

function viewStep(step: PipelineStep, state: StepState | undefined, run: RunStatus): StepView {
  const shown = {
    id: step.id,
    ...(step.name === undefined ? {} : { name: step.name }),
    driver: step.driver,
    needs: step.needs,
  }
  if (state === undefined || (state.status === "waiting" && isEnded(run))) {
    return {
      ...shown,
      status: isEnded(run) ? "skipped" : "pending",
      message: "",
      attempt: state?.attempt ?? 0,
    }
  }
  if (state.status === "waiting") {
    return { ...shown, status: "waiting", message: describeWaiting(state.waitingFor), attempt: state.attempt }
  }
  return {
    ...shown,
    status: state.status,
    message: messageOf(state),
    attempt: state.attempt,
    driverHash: state.driverHash,
    hostId: state.hostId,
    ...timesOf(state),
    ...("result" in state ? { result: state.result } : {}),
  }
}

function messageOf(state: StepState): string {
  if ("result" in state) return state.result.message
  if (state.status !== "running" || state.probing === undefined) return ""
  return `finding out how attempt ${state.probing.attempt} ended`
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
