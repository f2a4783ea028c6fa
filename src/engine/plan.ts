import { messageOf } from "../errors.ts"
import { formatDuration } from "../model/duration.ts"
import { type PipelineStep, timeoutMsDefault } from "../model/pipeline.ts"
import { isEnded, type Run, type StepState, type Verdict } from "../model/run.ts"
import { hasRunValues, runValues } from "../model/run-values.ts"
import { type Phase, phaseOf, type Standings, standingsOf } from "../model/standing.ts"
import { verdictOf, withCleanup } from "../model/verdict.ts"
import { admission, cancelledFor, release } from "./admission.ts"
import { chanceOf } from "./chance.ts"
import type { Effect, LocalAttempt, Now, Observed, Plan } from "./decision.ts"
import { Draft } from "./draft.ts"
import { hold, watchHeld } from "./holding.ts"
import { begin, contentOf, startDue, takeUp } from "./starting.ts"
import { claimedData } from "./step-data.ts"
import { afterAttempt, cancelledUnattended, stamp } from "./step-states.ts"

/** Decides, from what is observed and nothing else, what this host does next about one run. Pure. */
export function plan(observed: Observed, now: Now): Plan {
  const planning = new Planning(observed, now)
  planning.reconcileLocalAttempts()
  if (!isEnded(observed.run.status)) planning.moveOn()
  return planning.result()
}

/** Why an attempt is aborted. */
type Abort = Pick<Effect & { type: "abort" }, "reason" | "message"> & { readonly kill?: boolean }

/** One planning about a run as a whole: what its attempts came to, then what follows for the run. */
class Planning {
  readonly #draft: Draft
  readonly #observed: Observed
  #steps: readonly PipelineStep[]
  #standings: { readonly of: Standings; readonly after: number } | undefined

  constructor(observed: Observed, now: Now) {
    this.#draft = new Draft(observed, now)
    this.#observed = observed
    this.#steps = observed.steps
  }

  result(): Plan {
    return this.#draft.result()
  }

  /** What became of the attempts that were started here. */
  reconcileLocalAttempts(): void {
    for (const [stepId, local] of this.#observed.local) {
      const state = this.#observed.states.get(stepId)
      if (!this.#holds(stepId, local.attempt) || state?.status !== "running") {
        if (local.outcome !== undefined) this.#draft.effect({ type: "discard", stepId })
        else
          this.#abort(stepId, local, { reason: "fenced", message: "this host no longer holds the attempt" })
      } else if (local.outcome === undefined) {
        this.#superviseRunning(stepId, local)
      } else if (local.aborted === "shutdown" || local.aborted === "fenced") {
        this.#draft.release(stepId)
      } else {
        this.#settleOutcome(stepId, state, { ...local, outcome: local.outcome })
      }
    }
  }

  #holds(stepId: string, attempt: number): boolean {
    const claim = this.#observed.claims.get(stepId)
    return claim?.hostId === this.#observed.host.hostId && claim.attempt === attempt
  }

  #superviseRunning(stepId: string, local: LocalAttempt): void {
    const { run, now } = this.#draft
    if (this.#isCalledOff(stepId)) {
      const message = "cancelled: the run is stopping"
      this.#abort(stepId, local, { reason: "cancelled", message, kill: run.cancel?.kill === true })
    } else if (now.monotonicMs >= local.deadlineMs) {
      const message = `timed out after ${formatDuration(local.timeoutMs)}`
      this.#abort(stepId, local, { reason: "timeout", message })
    } else {
      this.#draft.wakeAt(local.deadlineMs)
    }
  }

  #abort(stepId: string, local: LocalAttempt, { kill = false, ...abort }: Abort): void {
    if (local.aborted !== undefined && (local.killed === true || !kill)) return
    this.#draft.effect({ type: "abort", stepId, ...abort, kill })
  }

  #settleOutcome(
    stepId: string,
    state: StepState & { readonly status: "running" },
    local: LocalAttempt & Required<Pick<LocalAttempt, "outcome">>,
  ): void {
    const { now, run } = this.#draft
    const retry = this.#isCalledOff(stepId) ? undefined : this.#stepOf(stepId)?.retry
    const chance = () => chanceOf(`${run.runId}/${stepId}/${state.attempt}`)
    this.#draft.settle(stepId, afterAttempt(state, { local, outcome: local.outcome, retry, chance, now }))
  }

  /** What the run as a whole needs: an end, or the steps that can start. */
  moveOn(): void {
    const { missing } = this.#observed
    if (missing !== undefined) this.#end({ status: "failed", message: missing })
    else if (decided(this.#draft.run) !== undefined || this.#prepare()) this.#goOn()
  }

  #goOn(): void {
    this.#stopWhenOver()
    const verdict = decided(this.#draft.run)
    const { run } = this.#draft
    if (verdict === undefined && run.status === "running" && run.held !== undefined) {
      if (this.#observed.caughtUp) watchHeld(this.#draft, this.#steps, run.held)
      else this.#draft.behind = true
      return
    }
    if (verdict === undefined) {
      const answer = admission(this.#draft)
      if (answer === "waits") return
      if (answer !== "admitted") {
        this.#end(answer)
        return
      }
    } else if (decided(this.#observed.run) === undefined) {
      // What follows from it ends steps for a reason that must stand written before.
      return
    }
    this.#planSteps()
    this.#settleUnattended()
    if (!this.#where().wayEnded) this.#work(this.#where())
    else if (verdict === undefined) this.#decide()
    else this.#cleanUp(verdict)
  }

  /** Evaluates what the pipeline says of the run as a whole. False when that ended the run. */
  #prepare(): boolean {
    const { pipeline } = this.#observed
    const { run } = this.#draft
    if (pipeline === undefined || run.values !== undefined || !hasRunValues(pipeline)) return true
    try {
      this.#draft.run = { ...run, values: runValues(pipeline, contentOf(this.#draft)) }
      return true
    } catch (error) {
      const verdict: Verdict = { status: "failed", message: messageOf(error) }
      // One that was mended may have something to clean up.
      if (run.status === "running") this.#draft.run = { ...run, stopping: verdict }
      else this.#end(verdict)
      return run.status === "running"
    }
  }

  /** The run's time is over: that is its verdict, and from now on nothing starts on its way. */
  #stopWhenOver(): void {
    const { run } = this.#draft
    if (run.status !== "running" || run.held !== undefined || decided(run) !== undefined) return
    const timeoutMs = run.values?.timeoutMs ?? this.#observed.pipeline?.timeoutMs
    if (timeoutMs === undefined || !this.#draft.isOver(run.mendedAt ?? run.startedAt, timeoutMs)) return
    const message = `the run timed out after ${formatDuration(timeoutMs)}`
    this.#draft.run = { ...run, stopping: { status: "failed", message } }
    // Where the steps stood before that is no longer so.
    this.#standings = undefined
  }

  /** Where its steps stand, as far as the run has come. */
  #where(): Standings {
    const after = this.#draft.settledCount
    if (this.#standings?.after !== after) {
      const failFast = this.#draft.run.pipeline !== undefined && this.#observed.pipeline?.failFast !== false
      const of = standingsOf(this.#steps, this.#draft.states, { failFast, phase: phaseOf(this.#draft.run) })
      this.#standings = { of, after }
    }
    return this.#standings.of
  }

  /** Must a running attempt end, because the run goes on without it? */
  #isCalledOff(stepId: string): boolean {
    if (isEnded(this.#observed.run.status)) return true
    const standing = this.#where().of.get(stepId)
    return standing?.type === "running" && standing.calledOff
  }

  #stepOf(stepId: string): PipelineStep | undefined {
    return this.#steps.find((step) => step.id === stepId)
  }

  /** Without a pipeline the steps are written down at the first look: one for each driver that listens. */
  #planSteps(): void {
    const { run } = this.#draft
    if (run.pipeline !== undefined || run.steps !== undefined) return
    const steps = this.#observed.host.listening(run.resource.type).map((driver) => ({
      id: driver,
      driver,
      needs: [],
      timeoutMs: timeoutMsDefault,
    }))
    this.#draft.run = { ...run, steps }
    this.#steps = steps
    this.#standings = undefined
  }

  /** Where the run goes on without a step, what nobody attends to has ended. */
  #settleUnattended(): void {
    for (const [stepId, standing] of this.#where().of) {
      if (standing.type === "calledOff" || (standing.type === "running" && standing.calledOff)) {
        this.#settleIfUnattended(stepId)
      }
    }
  }

  /** An orphan, one that waits for its next attempt, or one that was claimed here and not launched yet. */
  #settleIfUnattended(stepId: string): void {
    const state = this.#draft.states.get(stepId)
    if (state === undefined || this.#observed.local.has(stepId)) return
    if (this.#observed.claims.has(stepId) && !this.#holds(stepId, state.attempt)) return
    const cancelled = cancelledUnattended(state, this.#draft.now)
    if (cancelled !== undefined) this.#draft.settle(stepId, cancelled)
  }

  /** Goes on with what has started, and starts what can start. */
  #work(standings: Standings): void {
    const draft = this.#draft
    let running = 0
    for (const step of this.#steps) {
      if (standings.of.get(step.id)?.type !== "running") continue
      running++
      if (this.#isOrphan(step.id)) takeUp(draft, step)
      else this.#launchIfClaimed(step)
    }
    const taken = draft.startCount
    const { maxParallel = Number.POSITIVE_INFINITY } = this.#observed.pipeline ?? {}
    for (const step of this.#steps) {
      const standing = standings.of.get(step.id)
      if (standing?.type !== "due") continue
      const hasRoom = running + draft.startCount - taken < maxParallel
      startDue(draft, { step, upstream: standing.upstream, standings, hasRoom })
    }
  }

  /** Running by its record, yet nobody holds it: its host died, or gave it back. */
  #isOrphan(stepId: string): boolean {
    return !this.#observed.claims.has(stepId) && !this.#observed.local.has(stepId)
  }

  /** A claim of ours without an attempt: the commit that made it is news to us, so the attempt is still to be run. */
  #launchIfClaimed(step: PipelineStep): void {
    const { id: stepId } = step
    const state = this.#observed.states.get(stepId)
    if (state?.status !== "running" || this.#observed.local.has(stepId)) return
    if (!this.#holds(stepId, state.attempt)) return
    const data = claimedData(this.#draft, step, state.driverHash)
    if (data === "here") this.#draft.effect({ type: "launch", stepId, attempt: state.attempt })
    // As an orphan it is taken up when the data is here, and says what it waits for.
    else if (data === "away") this.#draft.release(stepId)
  }

  /** Every step of the way has ended: how the run ends is decided now. */
  #decide(): void {
    const draft = this.#draft
    const { of, failed, failedCleanup } = this.#where()
    const verdict: Verdict =
      this.#steps.length === 0
        ? { status: "succeeded", message: `no driver listens for "${draft.run.resource.type}"` }
        : verdictOf(failed, draft.states)
    if (verdict.status === "failed" && hold(draft, this.#steps, verdict)) return
    // Another host, on older news, may be starting a step that this run's failure keeps from starting. With the verdict
    // in the header it cannot; and once the watch has shown us that header, it has shown us every start there was.
    const frontier = [...of.values()].some((standing) => standing.type === "skipped" && standing.couldStart)
    if (frontier || this.#steps.some(isLast)) {
      begin(draft, this.#steps)
      draft.run = { ...draft.run, stopping: verdict } as Run
    } else {
      this.#end(withCleanup(verdict, failedCleanup, draft.states))
    }
  }

  /** Runs what cleans up, once nothing of the way can be running anywhere; then the run ends. The verdict stands written. */
  #cleanUp(verdict: Verdict): void {
    const { run, states } = this.#draft
    if (!this.#observed.caughtUp) {
      this.#draft.behind = true
      return
    }
    const abandoned = phaseOf(run).type === "abandoned"
    const phase: Phase = { type: "cleanup", verdict: verdict.status }
    const standings = abandoned ? this.#where() : standingsOf(this.#steps, states, { failFast: false, phase })
    // A run that was cancelled before it began has nothing to clean up.
    if (run.status === "pending" || standings.allEnded)
      this.#end(withCleanup(verdict, standings.failedCleanup, states))
    else if (!abandoned) this.#work(standings)
  }

  #end(verdict: Verdict): void {
    const { stopping: _, held: __, ...run } = this.#draft.run as Run & { stopping?: Verdict; held?: unknown }
    this.#draft.run = { ...run, ...verdict, finishedAt: stamp(this.#draft.now) }
    release(this.#draft, this.#draft.run)
  }
}

/** How the run will end, where that is written down: no host starts a step of its way any more. */
function decided(run: Run): Verdict | undefined {
  if (run.status === "running" && run.stopping !== undefined) return run.stopping
  if (run.cancelRequestedAt === undefined) return undefined
  if (run.replacedBy !== undefined) return cancelledFor(run.replacedBy)
  return { status: "cancelled", message: "cancelled on request" }
}

/** Does it run when all steps of the way have ended? */
function isLast({ role }: PipelineStep): boolean {
  return role?.type === "finally" || role?.type === "deferred"
}
