import type { Pipeline } from "../model/pipeline.ts"
import { isEnded, type Run, type StepState } from "../model/run.ts"
import { type RunView, viewRun } from "../model/run-view.ts"
import { parseRunKey, runKey, stepsPrefix } from "../store/keys.ts"
import type { Entry } from "../store/store.ts"
import type { ApiContext } from "./route.ts"
import type { RunFeedEvent } from "./run-feed.ts"

const reloadRetryMs = 250

/** A step's record as it came, and parsed once somebody has asked. */
interface StepRecord {
  readonly modRevision: number
  readonly value: string
  state?: StepState
}

/**
 * One run as it is now, kept up to date from the feed for as long as it is in use. Begins with knowing nothing: either
 * it is made before the run is, and then sees all of it, or it is told to `load` what is there. In whichever order
 * reads and changes come, the newest record of each key wins.
 */
export class FollowedRun implements Disposable {
  readonly #context: ApiContext
  readonly runId: string
  readonly #unsubscribe: () => void
  readonly #steps = new Map<string, StepRecord>()
  #header: { readonly modRevision: number; readonly run: Run } | undefined
  #version = 0
  #wake = () => {}
  #onEnd = () => {}
  #disposed = false

  constructor(context: ApiContext, runId: string) {
    this.#context = context
    this.runId = runId
    this.#unsubscribe = context.feed.subscribe(runId, (event) => this.#apply(event))
  }

  /** The run's header; undefined until it is known, and when there is no such run. */
  get run(): Run | undefined {
    return this.#header?.run
  }

  /** Has the run ended? */
  get ended(): boolean {
    return this.#header !== undefined && isEnded(this.#header.run.status)
  }

  /** Grows with every change. */
  get version(): number {
    return this.#version
  }

  /** Reads what the store has. */
  async load(): Promise<void> {
    const header = await this.#context.store.get(runKey(this.runId))
    if (header === undefined) return
    this.#put(header)
    const { entries } = await this.#context.store.list(stepsPrefix(this.runId))
    for (const entry of entries) this.#put(entry)
  }

  /**
   * Waits until the run has ended, `ms` are over (undefined: never), or a signal aborts: the one given or the API's. For
   * one waiter at a time.
   */
  async waitForEnd(ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (this.ended || ms === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
    const onAbort = () => resolve()
    const signals = [signal, this.#context.signal]
    this.#onEnd = resolve
    for (const each of signals) each.addEventListener("abort", onAbort)
    if (!signals.some((each) => each.aborted)) await promise
    for (const each of signals) each.removeEventListener("abort", onAbort)
    clearTimeout(timer)
  }

  /** Waits for a change after `version`; answers the version now, which is the same when the signal aborted. */
  async changedSince(version: number, signal: AbortSignal): Promise<number> {
    const onAbort = () => this.#wake()
    signal.addEventListener("abort", onAbort)
    while (this.#version === version && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    signal.removeEventListener("abort", onAbort)
    return this.#version
  }

  /** The run as a view. The header must be known. */
  async view(): Promise<RunView> {
    const run = this.#header?.run
    if (run === undefined) throw new Error("A run that is viewed must be known")
    const pipeline = await revisionOf(this.#context, run)
    return viewRun(run, pipeline, this.states())
  }

  /** The state of a step; undefined when it has none yet. */
  stateOf(stepId: string): StepState | undefined {
    const record = this.#steps.get(stepId)
    if (record === undefined) return undefined
    record.state ??= JSON.parse(record.value) as StepState
    return record.state
  }

  /** The states of all steps that have one, by step id. */
  states(): ReadonlyMap<string, StepState> {
    const states = new Map<string, StepState>()
    for (const stepId of this.#steps.keys()) {
      const state = this.stateOf(stepId)
      if (state !== undefined) states.set(stepId, state)
    }
    return states
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#unsubscribe()
  }

  #apply(event: RunFeedEvent): void {
    switch (event.type) {
      case "put":
        this.#put(event.entry)
        return
      case "reset":
        void this.#reload()
        return
      case "delete":
        return
      default:
        event satisfies never
    }
  }

  #put(entry: Entry): void {
    const key = parseRunKey(entry.key)
    if (key?.type === "header") {
      if (entry.modRevision <= (this.#header?.modRevision ?? 0)) return
      this.#header = { modRevision: entry.modRevision, run: JSON.parse(entry.value) as Run }
      if (this.ended) this.#onEnd()
    } else if (key?.type === "step") {
      if (entry.modRevision <= (this.#steps.get(key.stepId)?.modRevision ?? 0)) return
      this.#steps.set(key.stepId, { modRevision: entry.modRevision, value: entry.value })
    } else return
    this.#version++
    this.#wake()
  }

  async #reload(): Promise<void> {
    while (!this.#disposed) {
      try {
        return await this.load()
      } catch {
        await Bun.sleep(reloadRetryMs)
      }
    }
  }
}

/** The pipeline revision a run is pinned to; undefined for a run without a pipeline. */
export async function revisionOf(context: ApiContext, run: Run): Promise<Pipeline | undefined> {
  return run.pipeline === undefined ? undefined : await context.pipelineRevision(run.pipeline.hash)
}
