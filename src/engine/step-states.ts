import type { AttemptResult } from "../model/driver.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import { describeWaiting, type StepState, type WaitingFor } from "../model/run.ts"
import type { LocalAttempt, Now } from "./decision.ts"

/* The states a step passes through, each made from the one before it. Pure. */

export type Running = StepState & { readonly status: "running" }
export type Waiting = StepState & { readonly status: "waiting" }

/** `now` as it is written down. */
export function stamp(now: Now): string {
  return new Date(now.wallMs).toISOString()
}

/** The next attempt, on this host, after whatever was before it; `once`: in a step that must not be done twice. */
export function started(
  before: StepState | undefined,
  {
    driverHash,
    hostId,
    once,
    now,
  }: {
    readonly driverHash: string
    readonly hostId: string
    readonly once: boolean
    readonly now: Now
  },
): Running {
  const probing = once && before?.status === "running" ? { probing: interruptedOf(before) } : {}
  return {
    ...probing,
    status: "running",
    attempt: (before?.attempt ?? 0) + 1,
    ...originOf(before),
    driverHash,
    hostId,
    startedAt: stamp(now),
  }
}

/** What takes up the work of an attempt that was cut off goes under that attempt's token. */
function originOf(before: StepState | undefined): { readonly origin?: number } {
  if (before?.status === "running") return { origin: before.origin ?? before.attempt }
  if (before?.status !== "waiting" || before.origin === undefined) return {}
  return { origin: before.origin }
}

/** Waiting for this; undefined when that is what it does already, or when it waits for a word on a cut-off attempt. */
export function waiting(
  before: StepState | undefined,
  waitingFor: WaitingFor,
  now: Now,
): Waiting | undefined {
  if (before?.status === "waiting") {
    const current = before.waitingFor
    if (current.type === "resolution" || isSame(current, waitingFor)) return undefined
  }
  return {
    status: "waiting",
    waitingFor,
    since: stamp(now),
    attempt: before?.attempt ?? 0,
    ...originOf(before),
  }
}

function isSame(a: WaitingFor, b: WaitingFor): boolean {
  return a.type === "driver" && b.type === "driver"
    ? a.driver === b.driver && a.hash === b.hash
    : a.type === b.type
}

/** Once an attempt's result is in: ended, or waiting for its next attempt where `retry` has one left. */
export function afterAttempt(
  state: Running,
  {
    local,
    outcome,
    retry,
    now,
  }: {
    readonly local: LocalAttempt
    readonly outcome: AttemptResult
    readonly retry: PipelineStep["retry"]
    readonly now: Now
  },
): StepState {
  const { probed, retryable: _, ...result } = outcome
  if (state.probing !== undefined && (probed !== true || local.aborted !== undefined))
    return unresolved(state, now)
  const running = state.probing === undefined ? state : ({ ...state.probing, status: "running" } as const)
  const { attempt } = running
  const failed = !outcome.success || local.aborted === "timeout"
  if (failed && retry !== undefined && attempt < retry.attempts) {
    const until = new Date(now.wallMs + retry.backoffMs * 2 ** (attempt - 1)).toISOString()
    return { status: "waiting", waitingFor: { type: "timer", until }, since: stamp(now), attempt }
  }
  const status = !failed ? "succeeded" : local.aborted === "cancelled" ? "cancelled" : "failed"
  return { ...running, status, finishedAt: stamp(now), result: { ...result, success: !failed } }
}

/** A cut-off attempt that must not simply be done again: somebody has to say how it ended. */
export function unresolved(running: Running, now: Now): Waiting {
  const { attempt } = running
  const waitingFor = { type: "resolution", interrupted: interruptedOf(running) } as const
  return { status: "waiting", waitingFor, since: stamp(now), attempt, ...originOf(running) }
}

/** The attempt that was cut off: the one a probe was asking about, when it is the probe that was cut off. */
function interruptedOf({ status: _, probing, ...running }: Running) {
  return probing ?? running
}

/** Somebody has said how it ended: that is its state. Undefined while nobody has, or when it is to be done again. */
export function resolved({ waitingFor, resolution }: Waiting, now: Now): StepState | undefined {
  if (waitingFor.type !== "resolution" || resolution === undefined || resolution.outcome === "retry") {
    return undefined
  }
  const { outcome: status, result } = resolution
  return { ...waitingFor.interrupted, status, finishedAt: stamp(now), result }
}

/** In a stopping run: an attempt that no host is running, or whose outcome nobody knows. Undefined for others. */
export function cancelledUnattended(state: StepState, now: Now): StepState | undefined {
  const ended = { status: "cancelled", finishedAt: stamp(now) } as const
  if (state.status === "running") {
    return {
      ...state,
      ...ended,
      result: { success: false, message: "cancelled while no host was running it" },
    }
  }
  if (state.status !== "waiting" || state.waitingFor.type !== "resolution") return undefined
  const message = `cancelled; ${describeWaiting(state.waitingFor)}`
  return { ...state.waitingFor.interrupted, ...ended, result: { success: false, message } }
}
