import type { AttemptOutcome } from "../model/driver.ts"
import { durationMsMax } from "../model/duration.ts"
import type { Retry } from "../model/pipeline.ts"
import { type Condition, describeWaiting, type StepState, type WaitingFor } from "../model/run.ts"
import type { LocalAttempt, Now } from "./decision.ts"

/* The states a step passes through, each made from the one before it. Pure. */

export type Running = StepState & { readonly status: "running" }
export type Waiting = StepState & { readonly status: "waiting" }
export type Pending = StepState & { readonly status: "pending" }
export type Skipped = StepState & { readonly status: "skipped" }

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
    place,
    now,
  }: {
    readonly driverHash: string
    readonly hostId: string
    readonly once: boolean
    /** Where the attempt logs, by index in the run's places. */
    readonly place: number
    readonly now: Now
  },
): Running {
  const probing = once && before?.status === "running" ? { probing: interruptedOf(before) } : {}
  const attempt = (before?.attempt ?? 0) + 1
  return {
    ...probing,
    ...placesWith(before, attempt, place),
    status: "running",
    attempt,
    ...originOf(before),
    driverHash,
    hostId,
    startedAt: stamp(now),
  }
}

/** Where the attempts so far have logged, and this one does. */
function placesWith(
  before: StepState | undefined,
  attempt: number,
  place: number,
): { readonly logs?: readonly number[] } {
  if (place === 0 && before?.logs === undefined) return {}
  const earlier = Array.from({ length: attempt - 1 }, (_, index) => before?.logs?.[index] ?? 0)
  return { logs: [...earlier, place] }
}

/** The state with what its predecessor knew of where the step's attempts have logged. */
export function withPlacesOf<State extends StepState>(before: StepState | undefined, state: State): State {
  return before?.logs === undefined ? state : { ...state, logs: before.logs }
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
    // One that waits in turn for a host, a driver and data has been in the queue all the time.
    since: before?.status === "waiting" && isQueued(before.waitingFor) ? before.since : stamp(now),
    attempt: before?.attempt ?? 0,
    ...originOf(before),
  }
}

/** Is it a wait that `queueTimeout` bounds? */
export function isQueued({ type }: WaitingFor): boolean {
  return type === "driver" || type === "host" || type === "data"
}

function isSame(a: WaitingFor, b: WaitingFor): boolean {
  if (a.type === "data" && b.type === "data") return a.stepId === b.stepId && a.hostId === b.hostId
  return a.type === "driver" && b.type === "driver"
    ? a.driver === b.driver && a.hash === b.hash
    : a.type === b.type
}

/** What an attempt came to, and whether and when there may be another one. */
export interface Outcome {
  readonly local: LocalAttempt
  readonly outcome: AttemptOutcome
  /** Absent: there is no other attempt. */
  readonly retry: Retry | undefined
  /** From 0 to 1: what is left to chance in the wait for the next one. */
  readonly chance: () => number
  readonly now: Now
}

/** Once an attempt's result is in: ended, or waiting for its next attempt where `retry` has one left. */
export function afterAttempt(state: Running, { local, outcome, retry, chance, now }: Outcome): StepState {
  const { probed, retryable, ...result } = outcome
  if (state.probing !== undefined && (probed !== true || local.aborted !== undefined))
    return unresolved(state, now)
  const running = state.probing === undefined ? state : ({ ...state.probing, status: "running" } as const)
  const { attempt } = running
  const kind = local.aborted === "timeout" ? "timeout" : outcome.success ? undefined : "failure"
  const again = kind !== undefined && retryable !== false && (retry?.on?.includes(kind) ?? true)
  if (again && retry !== undefined && attempt < retry.attempts) {
    const until = new Date(now.wallMs + backoffMs(retry, attempt, chance)).toISOString()
    // A probe has a number of its own: the next attempt's comes after it.
    const waitingFor = { type: "timer", until } as const
    return { status: "waiting", waitingFor, since: stamp(now), attempt: state.attempt }
  }
  const status = kind === undefined ? "succeeded" : local.aborted === "cancelled" ? "cancelled" : "failed"
  return {
    ...running,
    ...lastOf(state.attempt, running),
    status,
    finishedAt: stamp(now),
    result: { ...result, success: kind === undefined },
  }
}

/** The last number that was given to an attempt of the step, where it is another than that of the one that counts. */
function lastOf(lastAttempt: number, { attempt }: { readonly attempt: number }) {
  return lastAttempt === attempt ? {} : { lastAttempt }
}

/** How long to wait after this attempt. */
function backoffMs(retry: Retry, attempt: number, chance: () => number): number {
  const doubled = retry.backoffMs * 2 ** (attempt - 1)
  const bounded = Math.min(doubled, retry.maxBackoffMs ?? Number.POSITIVE_INFINITY, durationMsMax)
  return Math.round(retry.jitter === undefined ? bounded : bounded * (1 - retry.jitter * chance()))
}

/** How long a timer runs, whatever the wall clock does meanwhile. */
export function timerMs({ since, waitingFor }: Waiting): number {
  return waitingFor.type === "timer" ? Math.max(0, Date.parse(waitingFor.until) - Date.parse(since)) : 0
}

/** It could not start. */
export function failedToStart(before: StepState | undefined, message: string, now: Now): StepState {
  const result = { success: false, message }
  return { status: "failed", attempt: before?.attempt ?? 0, finishedAt: stamp(now), result }
}

/** Its `if` was false. */
export function skipped(before: StepState | undefined, condition: Condition, now: Now): Skipped {
  return { status: "skipped", attempt: before?.attempt ?? 0, finishedAt: stamp(now), condition }
}

/** A cut-off attempt that must not simply be done again: somebody has to say how it ended. */
export function unresolved(running: Running, now: Now): Waiting {
  const { attempt } = running
  const waitingFor = { type: "resolution", interrupted: interruptedOf(running) } as const
  return { status: "waiting", waitingFor, since: stamp(now), attempt, ...originOf(running) }
}

/** The attempt that was cut off: the one a probe was asking about, when it is the probe that was cut off. */
function interruptedOf({ status: _, logs: __, probing, ...running }: Running) {
  return probing ?? running
}

/** As if it had not run, but for the numbers of its attempts, and for one that was cut off: it may have had its effect. */
export function toBeDoneAgain(before: StepState): Pending {
  const last = "lastAttempt" in before ? before.lastAttempt : undefined
  const pending = { status: "pending", attempt: last ?? before.attempt } as const
  if (before.status !== "cancelled" || before.driverHash === undefined) return pending
  const { attempt, origin = attempt, driverHash, hostId, startedAt } = before
  return { ...pending, interrupted: { attempt, origin, driverHash, hostId, startedAt } }
}

/** The same where it must not simply be done again. Undefined when there is nothing that somebody has to say of it. */
export function unresolvedBefore(before: StepState | undefined, now: Now): Waiting | undefined {
  if (before?.status !== "pending" || before.interrupted === undefined) return undefined
  const { attempt, interrupted } = before
  return unresolved({ ...interrupted, status: "running", attempt, probing: interrupted }, now)
}

/** Somebody has said how it ended: that is its state. Undefined while nobody has, or when it is to be done again. */
export function resolved({ waitingFor, resolution, attempt }: Waiting, now: Now): StepState | undefined {
  if (waitingFor.type !== "resolution" || resolution === undefined || resolution.outcome === "retry") {
    return undefined
  }
  const { outcome: status, result } = resolution
  const { interrupted } = waitingFor
  return { ...interrupted, ...lastOf(attempt, interrupted), status, finishedAt: stamp(now), result }
}

/**
 * Where the run goes on without the step: an attempt that no host is running, whose outcome nobody knows, or that was to
 * be made again. Undefined for others.
 */
export function cancelledUnattended(state: StepState, now: Now): StepState | undefined {
  const ended = { status: "cancelled", finishedAt: stamp(now) } as const
  if (state.status === "running") {
    return {
      ...state,
      ...ended,
      result: { success: false, message: "cancelled while no host was running it" },
    }
  }
  if (state.status !== "waiting" || state.attempt === 0) return undefined
  const message = `cancelled; ${describeWaiting(state.waitingFor)}`
  const result = { success: false, message }
  return state.waitingFor.type === "resolution"
    ? {
        ...state.waitingFor.interrupted,
        ...lastOf(state.attempt, state.waitingFor.interrupted),
        ...ended,
        result,
      }
    : { ...ended, attempt: state.attempt, result }
}
