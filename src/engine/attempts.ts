import type { Attempt, DriverHost } from "../drivers/driver-host.ts"
import { AttemptAbort } from "../drivers/driver-host.ts"
import { messageOf } from "../errors.ts"
import type { AttemptResult, DriverResult } from "../model/driver.ts"
import type { JsonObject } from "../model/json.ts"
import type { UnwrittenLogLine } from "../model/log.ts"
import type { Pipeline, PipelineStep } from "../model/pipeline.ts"
import type { Resource } from "../model/resource.ts"
import type { Run, StepState } from "../model/run.ts"
import type { LocalAttempt } from "./decision.ts"

/** The largest `data` of a driver result, in bytes of JSON. Larger things belong into the workspace. */
export const resultBytesMax = 1_000_000

/** The longest message of a driver result, in characters; what is over it is cut. The log has no such limit. */
export const resultMessageMax = 10_000

/** An attempt of a step, with all that makes up what its driver gets to see. */
export interface AttemptOrder {
  readonly run: Run
  readonly pipeline: Pipeline | undefined
  readonly steps: readonly PipelineStep[]
  readonly step: PipelineStep
  readonly states: ReadonlyMap<string, StepState>
  readonly state: StepState & { readonly status: "running" }
  readonly resource: Resource
}

export interface LocalAttemptsOptions {
  readonly drivers: DriverHost
  readonly workspaceOf: (runId: string) => string
  /** Resolves when the lines are durable. An attempt with lines that could not be written fails. */
  readonly log: (runId: string, lines: readonly UnwrittenLogLine[]) => Promise<void>
  readonly graceMs: number
  /** The same for one that this host no longer holds: it must be gone before another host may start its next. */
  readonly fencedGraceMs: number
  /** Fills in the `${{ }}` expressions of a step's `with`. Throws with a message for the run when one fails. */
  readonly inputOf: (order: AttemptOrder, results: Attempt["results"], resource: Resource) => JsonObject
  /** An attempt of this run has its outcome. */
  readonly onOutcome: (runId: string) => void
}

interface Running {
  readonly attempt: number
  readonly deadlineMs: number
  readonly abort: AbortController
  ended: Promise<void>
  aborted?: NonNullable<LocalAttempt["aborted"]>
  outcome?: AttemptResult
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
    const { runId } = order.run
    const abort = new AbortController()
    const running: Running = {
      attempt: order.state.attempt,
      deadlineMs: performance.now() + order.step.timeoutMs,
      abort,
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
    running.ended = this.#run(order, abort.signal).then((outcome) => {
      running.outcome = outcome
      this.#options.onOutcome(runId)
    })
  }

  async #run(order: AttemptOrder, signal: AbortSignal): Promise<AttemptResult> {
    let unlogged: string | undefined
    const log = async (lines: readonly UnwrittenLogLine[]) => {
      try {
        await this.#options.log(order.run.runId, lines)
      } catch (error) {
        unlogged ??= `its log could not be written: ${messageOf(error)}`
      }
    }
    try {
      const result = await this.#options.drivers.run(this.#attemptOf(order, { signal, log }))
      return limited(
        unlogged === undefined || !result.success ? result : { success: false, message: unlogged },
      )
    } catch (error) {
      return limited({ success: false, message: messageOf(error) })
    }
  }

  #attemptOf(order: AttemptOrder, { signal, log }: Pick<Attempt, "signal" | "log">): Attempt {
    const { run, pipeline, step, state } = order
    const results = resultsBefore(step, order.steps, order.states)
    const resource = withSharedMetadata(order.resource, pipeline, resultsByDriver(order, results))
    return {
      driver: { name: step.driver, hash: state.driverHash },
      runId: run.runId,
      runCreatedAt: run.createdAt,
      ...(pipeline === undefined ? {} : { pipelineName: pipeline.name }),
      stepId: step.id,
      attempt: state.attempt,
      token: `${run.runId}/${step.id}/${state.origin ?? state.attempt}`,
      event: run.event,
      resource,
      input: this.#options.inputOf(order, results, resource),
      metadata: pipeline?.metadata ?? {},
      results,
      env: {},
      defer: () => Promise.reject(new Error("This host writes down no deferred work")),
      ...(state.probing === undefined ? {} : { probing: true }),
      workspace: this.#options.workspaceOf(run.runId),
      signal,
      graceMs: this.#options.graceMs,
      log,
    }
  }

  /** Ends an attempt; its outcome follows. The first reason stands. */
  abort(runId: string, stepId: string, reason: NonNullable<LocalAttempt["aborted"]>, message: string): void {
    const running = this.#runs.get(runId)?.get(stepId)
    if (running === undefined || running.aborted !== undefined || running.outcome !== undefined) return
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
      for (const stepId of attempts.keys()) this.abort(runId, stepId, reason, message)
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

/** Results of all steps this one comes after, near or far, by step id. */
function resultsBefore(
  step: PipelineStep,
  steps: readonly PipelineStep[],
  states: ReadonlyMap<string, StepState>,
): Record<string, DriverResult> {
  if (step.needs.length === 0) return {}
  const byId = indexOf(steps)
  const results: Record<string, DriverResult> = {}
  const left = [...step.needs]
  for (let id = left.pop(); id !== undefined; id = left.pop()) {
    if (Object.hasOwn(results, id)) continue
    const state = states.get(id)
    if (state === undefined || !("result" in state)) continue
    results[id] = state.result
    left.push(...(byId.get(id)?.needs ?? []))
  }
  return results
}

/** Steps by id, made once for the steps of each pipeline in memory. */
const indexes = new WeakMap<readonly PipelineStep[], ReadonlyMap<string, PipelineStep>>()

function indexOf(steps: readonly PipelineStep[]): ReadonlyMap<string, PipelineStep> {
  const known = indexes.get(steps)
  if (known !== undefined) return known
  const made = new Map(steps.map((step) => [step.id, step]))
  indexes.set(steps, made)
  return made
}

/** The same results by driver, in the pipeline's order: where a driver stands twice, its later step's result. */
function resultsByDriver(order: AttemptOrder, results: Attempt["results"]): Map<string, DriverResult> {
  const byDriver = new Map<string, DriverResult>()
  if (Object.keys(results).length === 0) return byDriver
  for (const step of order.steps) {
    const result = results[step.id]
    if (result !== undefined) byDriver.set(step.driver, result)
  }
  return byDriver
}

/**
 * The resource as drivers see it: the pipeline's metadata below its own, and earlier results as `driverresults`, both
 * nested and, for drivers of the older contract, as flat keys that hold JSON strings.
 */
function withSharedMetadata(
  resource: Resource,
  pipeline: Pipeline | undefined,
  byDriver: ReadonlyMap<string, DriverResult>,
): Resource {
  const metadata: Record<string, JsonObject[string]> = { ...pipeline?.metadata, ...resource.metadata }
  if (byDriver.size > 0) {
    metadata["driverresults"] = Object.fromEntries(byDriver) as unknown as JsonObject
    for (const [driver, result] of byDriver) metadata[`driverresults.${driver}`] = JSON.stringify(result)
  }
  return { ...resource, metadata }
}

/** What a step's record has room for. */
function limited(given: AttemptResult): AttemptResult {
  const result =
    given.message.length <= resultMessageMax
      ? given
      : { ...given, message: `${given.message.slice(0, resultMessageMax)}…` }
  if (result.data === undefined) return result
  const bytes = Buffer.byteLength(JSON.stringify(result.data))
  if (bytes <= resultBytesMax) return result
  return {
    success: false,
    message: `the driver's data is ${bytes} bytes; at most ${resultBytesMax} are kept (put large things into the workspace)`,
  }
}
