import type { Attempt, DriverHost } from "../drivers/driver-host.ts"
import { AttemptAbort } from "../drivers/driver-host.ts"
import { messageOf } from "../errors.ts"
import type { AttemptOutcome, AttemptResult } from "../model/driver.ts"
import type { JsonObject } from "../model/json.ts"
import type { UnwrittenLogLine } from "../model/log.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import type { StepState } from "../model/run.ts"
import { metadataOf, type RunContent } from "../model/run-scope.ts"
import { shortened } from "../model/shortened.ts"
import { type ResultStore, recorded } from "../results/result-store.ts"
import type { LocalAttempt } from "./decision.ts"
import { type Given, givenOrFailure } from "./given.ts"
import type { Workspaces } from "./workspaces.ts"

/** The longest message of a driver result, in characters; what is over it is cut. The log has no such limit. */
export const resultMessageMax = 10_000

/** An attempt of a step, with all that makes up what its driver gets to see. */
export interface AttemptOrder {
  readonly content: RunContent
  readonly step: PipelineStep
  readonly state: StepState & { readonly status: "running" }
  /** May its driver read results of earlier steps that its input does not hold? */
  readonly readsResults: boolean
}

/** Work for the end of the run. `signal` aborts when the attempt that asks for it is to end. */
export interface Deferral {
  readonly driver: string
  readonly input: JsonObject
  readonly signal: AbortSignal
}

export interface LocalAttemptsOptions {
  readonly drivers: DriverHost
  readonly workspaces: Pick<Workspaces, "pathOf" | "prepare">
  /** Resolves when the lines are durable. An attempt with lines that could not be written fails. */
  readonly log: (runId: string, lines: readonly UnwrittenLogLine[]) => Promise<void>
  readonly results: Pick<ResultStore, "write">
  readonly graceMs: number
  /** The same for one that this host no longer holds: it must be gone before another host may start its next. */
  readonly fencedGraceMs: number
  /** Writes down work that a driver puts off to the end of the run: see {@link Attempt.defer}. */
  readonly defer: (order: AttemptOrder, work: Deferral) => Promise<void>
  /** An attempt of this run has its outcome. */
  readonly onOutcome: (runId: string) => void
}

interface Running {
  readonly attempt: number
  readonly deadlineMs: number
  readonly timeoutMs: number
  readonly abort: AbortController
  readonly kill: AbortController
  ended: Promise<void>
  aborted?: NonNullable<LocalAttempt["aborted"]>
  killed?: true
  outcome?: AttemptOutcome
}

/** The attempts this host is running, or has run and not yet written down. */
export class LocalAttempts {
  readonly #options: LocalAttemptsOptions
  readonly #runs = new Map<string, Map<string, Running>>()
  #count = 0
  #closedBy: string | undefined
  readonly #idle = new Set<() => void>()

  constructor(options: LocalAttemptsOptions) {
    this.#options = options
  }

  /** How many there are, over all runs. */
  get count(): number {
    return this.#count
  }

  /** Those of one run, by step id. */
  of(runId: string): ReadonlyMap<string, LocalAttempt> {
    return this.#runs.get(runId) ?? none
  }

  /** Starts an attempt. It ends by itself; `onOutcome` tells. */
  launch(order: AttemptOrder): void {
    const { runId } = order.content.run
    const given = givenOrFailure(order)
    const { timeoutMs } = typeof given === "string" ? order.step : given
    const running: Running = {
      attempt: order.state.attempt,
      deadlineMs: performance.now() + timeoutMs,
      timeoutMs,
      abort: new AbortController(),
      kill: new AbortController(),
      ended: Promise.resolve(),
    }
    const attempts = this.#runs.get(runId) ?? new Map<string, Running>()
    this.#runs.set(runId, attempts.set(order.step.id, running))
    this.#count++
    if (this.#closedBy !== undefined) {
      running.aborted = "shutdown"
      running.outcome = { success: false, message: this.#closedBy }
      return
    }
    running.ended = this.#run(order, given, running).then((outcome) => {
      running.outcome = outcome
      this.#options.onOutcome(runId)
    })
  }

  async #run(
    order: AttemptOrder,
    given: Given | string,
    { abort, kill }: Pick<Running, "abort" | "kill">,
  ): Promise<AttemptOutcome> {
    if (typeof given === "string") return limited({ success: false, message: given, retryable: false })
    let unlogged: string | undefined
    const log = async (lines: readonly UnwrittenLogLine[]) => {
      try {
        await this.#options.log(order.content.run.runId, lines)
      } catch (error) {
        unlogged ??= `its log could not be written: ${messageOf(error)}`
      }
    }
    try {
      if (order.content.run.workspaceFrom !== undefined) await this.#prepareWorkspace(order, log)
      const signals = { signal: abort.signal, killSignal: kill.signal }
      const result = await this.#options.drivers.run(this.#attemptOf(order, given, { ...signals, log }))
      if (unlogged !== undefined && result.success) return limited({ success: false, message: unlogged })
      return await recorded(limited(result), {
        runId: order.content.run.runId,
        results: this.#options.results,
      })
    } catch (error) {
      return limited({ success: false, message: messageOf(error) })
    }
  }

  /** Says in the log what there is to say about the folder the run works in. */
  async #prepareWorkspace({ content, step, state }: AttemptOrder, log: Attempt["log"]): Promise<void> {
    const message = await this.#options.workspaces.prepare(content.run)
    if (message === undefined) return
    const at = new Date().toISOString()
    await log([{ at, step: step.id, attempt: state.attempt, driver: step.driver, stream: "engine", message }])
  }

  #attemptOf(
    order: AttemptOrder,
    given: Given,
    own: Pick<Attempt, "signal" | "killSignal" | "log">,
  ): Attempt {
    const { content, step, state } = order
    const { run, pipeline } = content
    return {
      driver: { name: step.driver, hash: state.driverHash },
      runId: run.runId,
      runCreatedAt: run.createdAt,
      ...(pipeline === undefined ? {} : { pipelineName: pipeline.name }),
      stepId: step.id,
      attempt: state.attempt,
      token: `${run.runId}/${step.id}/${state.origin ?? state.attempt}`,
      event: run.event,
      resource: given.resource,
      input: given.input,
      metadata: metadataOf(content),
      results: given.results,
      env: given.env,
      defer: (driver, input) => this.#options.defer(order, { driver, input, signal: own.signal }),
      ...(state.probing === undefined ? {} : { probing: true }),
      workspace: this.#options.workspaces.pathOf(run.runId),
      graceMs: this.#options.graceMs,
      ...own,
    }
  }

  /** Ends an attempt; its outcome follows. The first reason stands; with `kill`, its grace period is over now. */
  abort(
    runId: string,
    stepId: string,
    {
      reason,
      message,
      kill = false,
    }: { reason: NonNullable<LocalAttempt["aborted"]>; message: string; kill?: boolean },
  ): void {
    const running = this.#runs.get(runId)?.get(stepId)
    if (running === undefined || running.outcome !== undefined) return
    if (kill && running.killed === undefined) {
      running.killed = true
      running.kill.abort()
    }
    if (running.aborted !== undefined) return
    running.aborted = reason
    const grace = reason === "fenced" ? { graceMs: this.#options.fencedGraceMs } : {}
    running.abort.abort(new AttemptAbort(reason, message, grace))
  }

  /** Ends them all because the host stops. One that is launched from here on is over before it has begun. */
  close(message: string): void {
    this.#closedBy = message
    this.abortAll("shutdown", message)
  }

  /** Ends them all. */
  abortAll(reason: NonNullable<LocalAttempt["aborted"]>, message: string): void {
    for (const [runId, attempts] of this.#runs) {
      for (const stepId of attempts.keys()) this.abort(runId, stepId, { reason, message })
    }
  }

  /** Resolves when every attempt of this moment has its outcome: nothing of it runs any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#runs.values()].flatMap((of) => [...of.values()].map(({ ended }) => ended)))
  }

  /** Forgets an attempt whose outcome is written down, or is nobody's business any more. */
  forget(runId: string, stepId: string): void {
    const attempts = this.#runs.get(runId)
    if (!attempts?.delete(stepId)) return
    if (attempts.size === 0) this.#runs.delete(runId)
    this.#count--
    if (this.#count > 0) return
    for (const resolve of this.#idle) resolve()
  }

  /** Resolves once there are none, or `timeoutMs` is over; answers whether there are none. */
  async idle(timeoutMs: number): Promise<boolean> {
    if (this.#count > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle.add(resolve)
      const timer = setTimeout(resolve, timeoutMs)
      await promise
      clearTimeout(timer)
      this.#idle.delete(resolve)
    }
    return this.#count === 0
  }
}

const none: ReadonlyMap<string, LocalAttempt> = new Map()

/** With as much of its message as a step's record has room for. */
function limited(result: AttemptResult): AttemptResult {
  return { ...result, message: shortened(result.message, resultMessageMax) }
}
