import { formatDuration } from "../model/duration.ts"
import { type PipelineStep, timeoutMsDefault } from "../model/pipeline.ts"
import { isEnded, type Run, type StepState, type Verdict, type WaitingFor } from "../model/run.ts"
import type { Effect, LocalAttempt, Now, Observed, Plan, Transition } from "./decision.ts"
import {
  afterAttempt,
  cancelledUnattended,
  resolved,
  stamp,
  started,
  unresolved,
  type Waiting,
  waiting,
  withPlacesOf,
} from "./step-states.ts"
import { leftUntilMs, placedOn } from "./whereabouts.ts"

/** Decides, from what is observed and nothing else, what this host does next about one run. Pure. */
export function plan(observed: Observed, now: Now): Plan {
  const planning = new Planning(observed, now)
  planning.reconcileLocalAttempts()
  if (!isEnded(observed.run.status)) planning.moveOn()
  return planning.result()
}

/** The steps of a run by what can be done about them, in the pipeline's order. */
interface Census {
  readonly steps: readonly PipelineStep[]
  readonly orphans: readonly PipelineStep[]
  readonly running: readonly PipelineStep[]
  readonly ready: readonly PipelineStep[]
  /** The first that failed. */
  readonly failed: string | undefined
  readonly allEnded: boolean
}

/** One planning: the decisions so far, laid over what is observed, so that later ones see them. */
class Planning {
  readonly #observed: Observed
  readonly #now: Now
  readonly #settled: Transition[] = []
  readonly #changed = new Map<string, StepState>()
  readonly #started: Transition[] = []
  readonly #effects: Effect[] = []
  #run: Run
  #wakeAtMs = Number.POSITIVE_INFINITY
  #starved = false
  #behind = false
  #slotsTaken = 0

  constructor(observed: Observed, now: Now) {
    this.#observed = observed
    this.#now = now
    this.#run = observed.run
  }

  result(): Plan {
    const header: Transition[] = this.#run === this.#observed.run ? [] : [{ type: "header", run: this.#run }]
    return {
      transitions: [...this.#settled, ...header, ...this.#started],
      effects: this.#effects,
      wakeAtMs: this.#wakeAtMs,
      starved: this.#starved,
      behind: this.#behind,
    }
  }

  /** What became of the attempts that were started here. */
  reconcileLocalAttempts(): void {
    for (const [stepId, local] of this.#observed.local) {
      const state = this.#observed.states.get(stepId)
      if (!this.#holds(stepId, local.attempt) || state?.status !== "running") {
        if (local.outcome !== undefined) this.#effects.push({ type: "discard", stepId })
        else this.#abort(stepId, local, "fenced", "this host no longer holds the attempt")
      } else if (local.outcome === undefined) {
        this.#superviseRunning(stepId, local)
      } else if (local.aborted === "shutdown" || local.aborted === "fenced") {
        this.#settled.push({ type: "release", stepId })
      } else {
        const { outcome } = local
        const retry = this.#isStopping() ? undefined : this.#stepOf(stepId)?.retry
        this.#settle(stepId, afterAttempt(state, { local, outcome, retry, now: this.#now }))
      }
    }
  }

  #holds(stepId: string, attempt: number): boolean {
    const claim = this.#observed.claims.get(stepId)
    return claim?.hostId === this.#observed.host.hostId && claim.attempt === attempt
  }

  #superviseRunning(stepId: string, local: LocalAttempt): void {
    if (this.#isStopping()) {
      this.#abort(stepId, local, "cancelled", "cancelled: the run is stopping")
    } else if (this.#now.monotonicMs >= local.deadlineMs) {
      const { timeoutMs = timeoutMsDefault } = this.#stepOf(stepId) ?? {}
      this.#abort(stepId, local, "timeout", `timed out after ${formatDuration(timeoutMs)}`)
    } else {
      this.#wakeAt(local.deadlineMs)
    }
  }

  #abort(
    stepId: string,
    local: LocalAttempt,
    reason: "timeout" | "cancelled" | "fenced",
    message: string,
  ): void {
    if (local.aborted === undefined) this.#effects.push({ type: "abort", stepId, reason, message })
  }

  #settle(stepId: string, ended: StepState): void {
    const state = withPlacesOf(this.#stateOf(stepId), ended)
    this.#changed.set(stepId, state)
    this.#settled.push({ type: "settle", stepId, state })
  }

  /** What the run as a whole needs: an end, or the steps that can start. */
  moveOn(): void {
    if (this.#observed.missing !== undefined) {
      this.#end({ status: "failed", message: this.#observed.missing })
      return
    }
    const steps = this.#stepsOfRun()
    const census = this.#count(steps)
    const { orphans, running, ready } = census
    const verdict = this.#judge(census)
    if (verdict !== undefined) {
      this.#conclude(verdict, { quiet: running.length === 0, frontier: ready.length > 0 })
      return
    }
    for (const step of running) this.#launchIfClaimed(step.id)
    for (const step of orphans) this.#takeUp(step)
    for (const step of ready) this.#start(step)
  }

  /** Where the steps are, in one pass: a plan is made for every transition, of a run of 5,000 steps too. */
  #count(steps: readonly PipelineStep[]): Census {
    const orphans: PipelineStep[] = []
    const running: PipelineStep[] = []
    const ready: PipelineStep[] = []
    const stopping = this.#isStopping()
    let failed: string | undefined
    let ended = 0
    for (const step of steps) {
      if (this.#isOrphan(step.id)) orphans.push(step)
      if (stopping) this.#settleIfUnattended(step.id)
      const state = this.#stateOf(step.id)
      if (state === undefined || state.status === "waiting") {
        if (this.#isReady(step)) ready.push(step)
      } else if (state.status === "running") {
        running.push(step)
      } else {
        ended++
        if (state.status === "failed") failed ??= step.id
      }
    }
    return { steps, orphans, running, ready, failed, allEnded: ended === steps.length }
  }

  /** Without a pipeline the steps are written down at the first look: one for each driver that listens. */
  #stepsOfRun(): readonly PipelineStep[] {
    if (this.#run.pipeline !== undefined) return this.#observed.steps
    if (this.#run.steps !== undefined) return this.#run.steps
    const steps = this.#observed.host.listening(this.#run.resource.type).map((driver) => ({
      id: driver,
      driver,
      needs: [],
      timeoutMs: timeoutMsDefault,
    }))
    this.#run = { ...this.#run, steps }
    return steps
  }

  #stepOf(stepId: string): PipelineStep | undefined {
    return (this.#run.steps ?? this.#observed.steps).find((step) => step.id === stepId)
  }

  #stateOf(stepId: string): StepState | undefined {
    return this.#changed.get(stepId) ?? this.#observed.states.get(stepId)
  }

  #isStopping(): boolean {
    const run = this.#observed.run
    return run.cancelRequestedAt !== undefined || (run.status === "running" && run.stopping !== undefined)
  }

  /** Running by its record, yet nobody holds it: its host died, or gave it back. */
  #isOrphan(stepId: string): boolean {
    return (
      this.#stateOf(stepId)?.status === "running" &&
      !this.#observed.claims.has(stepId) &&
      !this.#observed.local.has(stepId)
    )
  }

  /** A step of a stopping run that no host is running: an orphan, or one claimed here and not launched yet. */
  #settleIfUnattended(stepId: string): void {
    const state = this.#stateOf(stepId)
    if (state === undefined || this.#observed.local.has(stepId)) return
    if (this.#observed.claims.has(stepId) && !this.#holds(stepId, state.attempt)) return
    const cancelled = cancelledUnattended(state, this.#now)
    if (cancelled !== undefined) this.#settle(stepId, cancelled)
  }

  /** May a step that is pending or waiting start? */
  #isReady(step: PipelineStep): boolean {
    return step.needs.every((need) => this.#stateOf(need)?.status === "succeeded")
  }

  /** How a run with all its steps behind it, or a failed one, ends; undefined while that is open. */
  #judge({ steps, failed, allEnded }: Census): Verdict | undefined {
    const run = this.#run
    if (run.status === "running" && run.stopping !== undefined) return run.stopping
    if (run.cancelRequestedAt !== undefined) return { status: "cancelled", message: "cancelled on request" }
    if (failed !== undefined && (run.pipeline !== undefined || allEnded)) {
      return { status: "failed", message: this.#failureOf(failed) }
    }
    if (!allEnded) return undefined
    const nobody = steps.length === 0 ? `no driver listens for "${run.resource.type}"` : ""
    return { status: "succeeded", message: nobody }
  }

  #failureOf(stepId: string): string {
    const state = this.#stateOf(stepId)
    const message = state !== undefined && "result" in state ? state.result.message : ""
    return message === "" ? `step "${stepId}" failed` : `step "${stepId}" failed: ${message}`
  }

  /**
   * Ends the run if no attempt can be running anywhere. A start is guarded by the header, so another host may have
   * started a step of the frontier that we have not heard of. Then the verdict is written into the header first: no
   * start planned before can succeed after that, and once the watch has shown us that header, it has shown us every
   * start there was.
   */
  #conclude(verdict: Verdict, { quiet, frontier }: { quiet: boolean; frontier: boolean }): void {
    if (this.#isStopping()) {
      if (quiet && this.#observed.caughtUp) this.#end(verdict)
      this.#behind = quiet && !this.#observed.caughtUp
    } else if (quiet && !frontier) {
      this.#end(verdict)
    } else if (this.#run.status === "running") {
      this.#run = { ...this.#run, stopping: verdict }
    }
  }

  #end(verdict: Verdict): void {
    const { stopping: _, ...run } = this.#run as Run & { stopping?: Verdict }
    this.#run = { ...run, ...verdict, finishedAt: stamp(this.#now) }
  }

  /** A claim of ours without an attempt: the commit that made it is news to us, so the attempt is still to be run. */
  #launchIfClaimed(stepId: string): void {
    const state = this.#observed.states.get(stepId)
    if (state?.status !== "running" || this.#observed.local.has(stepId)) return
    if (this.#holds(stepId, state.attempt)) {
      this.#effects.push({ type: "launch", stepId, attempt: state.attempt })
    }
  }

  /**
   * An attempt was cut off: it is done again, or, where that must not be, its driver's probe is asked how it ended. Where
   * no host can run that code any more, somebody has to say it.
   */
  #takeUp(step: PipelineStep): void {
    const state = this.#stateOf(step.id)
    if (step.effects !== "once" || state?.status !== "running" || this.#canProbe(step)) this.#start(step)
    else this.#waitIn(step.id, unresolved(state, this.#now))
  }

  /** Can the code that was cut off be run on a live host? */
  #canProbe({ driver }: PipelineStep): boolean {
    const { host } = this.#observed
    const hash = this.#run.drivers?.[driver]
    return hash !== undefined && (host.fits ? host.locate(hash) !== "nowhere" : host.othersFit)
  }

  /** May a waiting step start now? If not, what it needs instead is planned. */
  #mayStart(stepId: string, state: Waiting): boolean {
    if (state.waitingFor.type === "timer") {
      const leftMs = Date.parse(state.waitingFor.until) - this.#now.wallMs
      if (leftMs > 0) this.#wakeAt(this.#now.monotonicMs + leftMs)
      return leftMs <= 0
    }
    if (state.waitingFor.type !== "resolution") return true
    const ended = resolved(state, this.#now)
    if (ended !== undefined) this.#settle(stepId, ended)
    return state.resolution?.outcome === "retry"
  }

  #start(step: PipelineStep): void {
    const { host } = this.#observed
    if (this.#changed.has(step.id)) {
      // Its last attempt ends in this very plan: one commit writes a key once, so the next attempt takes the next.
      this.#wakeAt(this.#now.monotonicMs)
      return
    }
    const state = this.#stateOf(step.id)
    if (state?.status === "waiting" && !this.#mayStart(step.id, state)) return
    if (!host.fits) {
      if (!host.othersFit) this.#wait(step.id, { type: "host", labels: this.#observed.labels })
      return
    }
    const driverHash = this.#codeFor(step)
    if (driverHash === undefined) return
    if (state?.status !== "running" && this.#isLeft(step)) return
    if (this.#slotsTaken >= host.slots) {
      this.#starved = true
      return
    }
    this.#slotsTaken++
    this.#begin()
    this.#pin({ [step.driver]: driverHash })
    const [run, place] = placedOn(host, this.#run)
    this.#run = run
    this.#started.push({
      type: "start",
      stepId: step.id,
      state: started(state, {
        driverHash,
        hostId: host.hostId,
        once: step.effects === "once",
        place,
        now: this.#now,
      }),
    })
  }

  /** Is the step left to the host the run is on? */
  #isLeft(step: PipelineStep): boolean {
    const stateOf = (stepId: string) => this.#stateOf(stepId)
    const untilMs = leftUntilMs(step, { observed: this.#observed, run: this.#run, stateOf, now: this.#now })
    if (untilMs === undefined) return false
    if (!this.#observed.left.has(step.id)) this.#effects.push({ type: "leave", stepId: step.id, untilMs })
    this.#wakeAt(untilMs)
    return true
  }

  /** The content of the driver to run the step with, once this host can run it; what else is to be done is planned. */
  #codeFor(step: PipelineStep): string | undefined {
    const { host } = this.#observed
    const { driver } = step
    const pinned = this.#run.drivers?.[driver]
    if (pinned === undefined) {
      const hash = host.hashOf(driver)
      if (hash === undefined && !host.elsewhere(driver)) this.#wait(step.id, { type: "driver", driver })
      return hash
    }
    const place = host.locate(pinned)
    switch (place) {
      case "here":
        return pinned
      case "store":
        this.#effects.push({ type: "fetch", hash: pinned })
        return undefined
      case "elsewhere":
        return undefined
      case "nowhere":
        this.#wait(step.id, { type: "driver", driver, hash: pinned })
        return undefined
      default:
        place satisfies never
        return undefined
    }
  }

  /** The run starts: it is pinned to all the drivers of its steps that this host has. */
  #begin(): void {
    if (this.#run.status !== "pending") return
    this.#run = { ...this.#run, status: "running", startedAt: stamp(this.#now) }
    const pins: Record<string, string> = {}
    for (const { driver } of this.#stepsOfRun()) {
      const hash = this.#observed.host.hashOf(driver)
      if (hash !== undefined) pins[driver] = hash
    }
    this.#pin(pins)
  }

  /** What is pinned already stays. */
  #pin(pins: Readonly<Record<string, string>>): void {
    const known = this.#run.drivers
    if (known !== undefined && Object.keys(pins).every((driver) => Object.hasOwn(known, driver))) return
    this.#run = { ...this.#run, drivers: { ...pins, ...known } }
  }

  #wait(stepId: string, waitingFor: WaitingFor): void {
    this.#waitIn(stepId, waiting(this.#stateOf(stepId), waitingFor, this.#now))
  }

  /** Writes down that a step waits, where that is news. */
  #waitIn(stepId: string, waits: Waiting | undefined): void {
    if (waits === undefined) return
    this.#started.push({ type: "wait", stepId, state: withPlacesOf(this.#stateOf(stepId), waits) })
  }

  #wakeAt(monotonicMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, monotonicMs)
  }
}
