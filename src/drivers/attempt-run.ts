import type { AttemptResult } from "../model/driver.ts"
import type { JsonObject } from "../model/json.ts"
import { type AttemptLog, createAttemptLog } from "./attempt-log.ts"
import { type AttemptProcesses, createAttemptProcesses } from "./attempt-processes.ts"
import { type Attempt, AttemptAbort } from "./driver-host.ts"
import { attemptToken } from "./process-marks.ts"
import { failure } from "./result.ts"

/** What an attempt's work is done with. */
export interface Surroundings {
  readonly attempt: Attempt
  readonly log: AttemptLog
  readonly processes: AttemptProcesses
  /** See {@link Attempt.defer}. Rejects once the attempt was aborted. */
  readonly defer: Attempt["defer"]
}

/** The driver's side of an attempt: a call into a worker, or a process. */
export interface Work {
  /** How it ended. Never rejects. */
  readonly outcome: Promise<AttemptResult>
  /** Tells the driver that it must end. Its processes have been told already. */
  abort(message: string): void
  /** Ends it now: `outcome` must settle soon. */
  kill(message: string): void
}

/** An attempt under way. */
export interface AttemptRun {
  /** Settles as {@link import("./driver-host.ts").DriverHost.run} promises. Never rejects. */
  readonly result: Promise<AttemptResult>
  /**
   * Ends it from outside, as its signal would, with the attempt's grace period or this one. A shorter one still
   * counts when it is being ended already.
   */
  abort(abort: AttemptAbort, graceMs?: number): void
}

/**
 * Runs one attempt: starts its work, ends it when it is aborted (asked at once, killed after its grace period), and
 * settles when its processes are gone and its log is durable.
 */
export function startAttempt(
  attempt: Attempt,
  { data, startWork }: { readonly data: string; readonly startWork: (surroundings: Surroundings) => Work },
): AttemptRun {
  const log = createAttemptLog(attempt)
  const { workspace, env, signal, killSignal, graceMs } = attempt
  // Not the token drivers see: another host may have taken up this attempt's work under it, and its processes are not ours to end.
  const token = attemptToken(attempt)
  const processes = createAttemptProcesses({ token, data, workspace, variables: env, log })
  const deferring = new Set<Promise<void>>()
  const work = startWork({ attempt, log, processes, defer })
  let aborted: { readonly message: string; readonly deadline: number } | undefined
  let killTimer: Timer | undefined

  function abort({ message }: AttemptAbort, within = graceMs): void {
    const deadline = performance.now() + within
    if (aborted !== undefined && aborted.deadline <= deadline) return
    if (aborted === undefined) {
      work.abort(message)
      processes.terminate()
    }
    aborted = { message: aborted?.message ?? message, deadline }
    clearTimeout(killTimer)
    killTimer = setTimeout(() => work.kill(message), within)
  }

  async function defer(driver: string, input: JsonObject): Promise<void> {
    if (aborted !== undefined) throw new Error("the attempt is ending")
    const kept = attempt.defer(driver, input)
    deferring.add(kept)
    try {
      await kept
    } finally {
      deferring.delete(kept)
    }
  }

  async function settle(): Promise<AttemptResult> {
    const outcome = await work.outcome
    clearTimeout(killTimer)
    const endedAt = performance.now()
    // An abort that comes now shortens nothing but the wait: its grace period counts from the earlier of the two.
    await processes.end(() => Math.min(aborted?.deadline ?? Number.POSITIVE_INFINITY, endedAt + graceMs))
    await Promise.allSettled(deferring)
    await log.settled()
    signal.removeEventListener("abort", onSignal)
    killSignal.removeEventListener("abort", onKill)
    clearTimeout(killTimer)
    return aborted === undefined ? outcome : failure(aborted.message)
  }

  const onSignal = (): void => {
    const reason = abortOf(signal.reason)
    abort(reason, reason.graceMs)
  }
  const onKill = (): void => abort(abortOf(signal.reason), 0)
  listen(signal, onSignal)
  listen(killSignal, onKill)
  return { result: settle(), abort }
}

function abortOf(reason: unknown): AttemptAbort {
  return reason instanceof AttemptAbort
    ? reason
    : new AttemptAbort("cancelled", "The attempt was ended from outside")
}

function listen(signal: AbortSignal, listener: () => void): void {
  if (signal.aborted) listener()
  else signal.addEventListener("abort", listener, { once: true })
}
