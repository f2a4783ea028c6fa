import type { DriverResult } from "../model/driver.ts"
import { formatDuration } from "../model/duration.ts"
import { type PipelineStep, timeoutMsDefault } from "../model/pipeline.ts"
import { type Claim, isEnded, type Run, type StepState, type Verdict, type WaitingFor } from "../model/run.ts"

/**
 * All that a decision about one run may depend on. Steps without a state are pending. What is observed may be older
 * than the store: every transition is guarded by the revisions it was planned on, so a decision made on old news
 * conflicts instead of doing harm.
 */
export interface Observed {
  readonly run: Run
  /** The steps of the run's pipeline revision; of no account for a run without a pipeline. */
  readonly steps: readonly PipelineStep[]
  /** What the run refers to and the store does not hold, as the message of its failure. */
  readonly missing?: string
  readonly states: ReadonlyMap<string, StepState>
  readonly claims: ReadonlyMap<string, Claim>
  /** Has the watch delivered everything up to the newest header? Then no start can be on its way to us. */
  readonly caughtUp: boolean
  /** The attempts this host is running, or has run and not written down yet, by step id. */
  readonly local: ReadonlyMap<string, LocalAttempt>
  readonly host: HostView
}

/** An attempt on this host. `outcome` is there once the driver and all its processes have ended. */
export interface LocalAttempt {
  readonly attempt: number
  /** When its timeout is over, on the monotonic clock. */
  readonly deadlineMs: number
  readonly aborted?: "timeout" | "cancelled" | "shutdown" | "fenced"
  readonly outcome?: DriverResult
}

/** What this host knows of drivers, and how much it may still take on. */
export interface HostView {
  readonly hostId: string
  /** How many more attempts may start here now. */
  readonly slots: number
  /** The hash of the driver that serves here under this name. */
  hashOf(driver: string): string | undefined
  /** Does any other live host have it? */
  elsewhere(driver: string): boolean
  /** Names of the drivers, on any live host, that reconcile this kind when no pipeline is named; ordered. */
  listening(kind: string): readonly string[]
}

/** One moment on both clocks: the wall's for what is written down, the monotonic one for what is measured here. */
export interface Now {
  readonly wallMs: number
  readonly monotonicMs: number
}

/** A change of the run's records. Each is written by one guarded commit, alone or with others of the same plan. */
export type Transition =
  | { readonly type: "header"; readonly run: Run }
  | { readonly type: "start"; readonly stepId: string; readonly state: StepState & { status: "running" } }
  /** Ends an attempt: fenced by its claim, which goes with it. */
  | { readonly type: "settle"; readonly stepId: string; readonly state: StepState }
  | { readonly type: "wait"; readonly stepId: string; readonly state: StepState & { status: "waiting" } }
  /** Gives the claim back without a result: the attempt was ended by this host's own doing. */
  | { readonly type: "release"; readonly stepId: string }

/** Something this host does that no record changes by. */
export type Effect =
  | { readonly type: "launch"; readonly stepId: string; readonly attempt: number }
  | {
      readonly type: "abort"
      readonly stepId: string
      readonly reason: "timeout" | "cancelled" | "fenced"
      readonly message: string
    }
  /** Forget an attempt that is over and that another host or attempt has replaced. */
  | { readonly type: "discard"; readonly stepId: string }

/**
 * What to do now. `transitions` are in an order in which every prefix is valid by itself, so that a plan larger than a
 * commit can be cut anywhere and planned anew.
 */
export interface Plan {
  readonly transitions: readonly Transition[]
  readonly effects: readonly Effect[]
  /** Look again then (monotonic), also when nothing was observed in between. */
  readonly wakeAtMs: number
  /** A step could start but for the lack of a slot. */
  readonly starved: boolean
  /** The run could end but for the watch, which has not shown its newest header yet: look again when it has. */
  readonly behind: boolean
}

/** Decides, from what is observed and nothing else, what this host does next about one run. Pure. */
export function plan(observed: Observed, now: Now): Plan {
  const planning = new Planning(observed, now)
  planning.reconcileLocalAttempts()
  if (!isEnded(observed.run.status)) planning.moveOn()
  return planning.result()
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
        this.#settle(stepId, this.#afterAttempt(stepId, state, local, local.outcome))
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

  #settle(stepId: string, state: StepState): void {
    this.#changed.set(stepId, state)
    this.#settled.push({ type: "settle", stepId, state })
  }

  /** The step's state once the attempt's result is in: ended, or waiting for its next attempt. */
  #afterAttempt(
    stepId: string,
    running: StepState & { status: "running" },
    local: LocalAttempt,
    outcome: DriverResult,
  ): StepState {
    const failed = !outcome.success || local.aborted === "timeout"
    const retry = failed && !this.#isStopping() ? this.#retryOf(stepId, running.attempt) : undefined
    if (retry !== undefined) return retry
    const status = !failed ? "succeeded" : local.aborted === "cancelled" ? "cancelled" : "failed"
    return { ...running, status, finishedAt: this.#stamp(), result: { ...outcome, success: !failed } }
  }

  #retryOf(stepId: string, attempt: number): StepState | undefined {
    const retry = this.#stepOf(stepId)?.retry
    if (retry === undefined || attempt >= retry.attempts) return undefined
    const until = new Date(this.#now.wallMs + retry.backoffMs * 2 ** (attempt - 1)).toISOString()
    return { status: "waiting", waitingFor: { type: "timer", until }, since: this.#stamp(), attempt }
  }

  /** What the run as a whole needs: an end, or the steps that can start. */
  moveOn(): void {
    if (this.#observed.missing !== undefined) {
      this.#end({ status: "failed", message: this.#observed.missing })
      return
    }
    const steps = this.#stepsOfRun()
    const orphans = steps.filter((step) => this.#isOrphan(step.id))
    if (this.#isStopping()) for (const step of steps) this.#settleIfUnattended(step.id)
    const running = steps.filter((step) => this.#stateOf(step.id)?.status === "running")
    const ready = steps.filter((step) => this.#isReady(step))
    const verdict = this.#judge(steps)
    if (verdict !== undefined) {
      this.#conclude(verdict, { quiet: running.length === 0, frontier: ready.length > 0 })
      return
    }
    for (const step of running) this.#launchIfClaimed(step.id)
    for (const step of orphans) this.#start(step)
    for (const step of ready) this.#start(step)
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
    if (state?.status !== "running" || this.#observed.local.has(stepId)) return
    if (this.#observed.claims.has(stepId) && !this.#holds(stepId, state.attempt)) return
    this.#settle(stepId, {
      ...state,
      status: "cancelled",
      finishedAt: this.#stamp(),
      result: { success: false, message: "cancelled while no host was running it" },
    })
  }

  #isReady(step: PipelineStep): boolean {
    const state = this.#stateOf(step.id)
    if (state !== undefined && state.status !== "waiting") return false
    return step.needs.every((need) => this.#stateOf(need)?.status === "succeeded")
  }

  /** How a run with all its steps behind it, or a failed one, ends; undefined while that is open. */
  #judge(steps: readonly PipelineStep[]): Verdict | undefined {
    const run = this.#run
    if (run.status === "running" && run.stopping !== undefined) return run.stopping
    if (run.cancelRequestedAt !== undefined) return { status: "cancelled", message: "cancelled on request" }
    const failed = steps.find((step) => this.#stateOf(step.id)?.status === "failed")
    if (failed !== undefined && (run.pipeline !== undefined || this.#allEnded(steps))) {
      return { status: "failed", message: this.#failureOf(failed.id) }
    }
    if (!this.#allEnded(steps)) return undefined
    const nobody = steps.length === 0 ? `no driver listens for "${run.resource.type}"` : ""
    return { status: "succeeded", message: nobody }
  }

  #allEnded(steps: readonly PipelineStep[]): boolean {
    return steps.every((step) => {
      const status = this.#stateOf(step.id)?.status
      return status === "succeeded" || status === "failed" || status === "cancelled"
    })
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
    this.#run = { ...run, ...verdict, finishedAt: this.#stamp() }
  }

  /** A claim of ours without an attempt: the commit that made it is news to us, so the attempt is still to be run. */
  #launchIfClaimed(stepId: string): void {
    const state = this.#observed.states.get(stepId)
    if (state?.status !== "running" || this.#observed.local.has(stepId)) return
    if (this.#holds(stepId, state.attempt)) {
      this.#effects.push({ type: "launch", stepId, attempt: state.attempt })
    }
  }

  #start(step: PipelineStep): void {
    const { host } = this.#observed
    if (this.#changed.has(step.id)) {
      // Its last attempt ends in this very plan: one commit writes a key once, so the next attempt takes the next.
      this.#wakeAt(this.#now.monotonicMs)
      return
    }
    const state = this.#stateOf(step.id)
    if (state?.status === "waiting" && state.waitingFor.type === "timer") {
      const leftMs = Date.parse(state.waitingFor.until) - this.#now.wallMs
      if (leftMs > 0) {
        this.#wakeAt(this.#now.monotonicMs + leftMs)
        return
      }
    }
    const driverHash = host.hashOf(step.driver)
    if (driverHash === undefined) {
      if (!host.elsewhere(step.driver)) this.#wait(step.id, { type: "driver", driver: step.driver })
      return
    }
    if (this.#slotsTaken >= host.slots) {
      this.#starved = true
      return
    }
    this.#slotsTaken++
    if (this.#run.status === "pending") {
      this.#run = { ...this.#run, status: "running", startedAt: this.#stamp() }
    }
    this.#started.push({
      type: "start",
      stepId: step.id,
      state: {
        status: "running",
        attempt: (state?.attempt ?? 0) + 1,
        driverHash,
        hostId: host.hostId,
        startedAt: this.#stamp(),
      },
    })
  }

  #wait(stepId: string, waitingFor: WaitingFor): void {
    const state = this.#stateOf(stepId)
    if (state?.status === "waiting" && state.waitingFor.type === waitingFor.type) return
    this.#started.push({
      type: "wait",
      stepId,
      state: { status: "waiting", waitingFor, since: this.#stamp(), attempt: state?.attempt ?? 0 },
    })
  }

  #wakeAt(monotonicMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, monotonicMs)
  }

  #stamp(): string {
    return new Date(this.#now.wallMs).toISOString()
  }
}
