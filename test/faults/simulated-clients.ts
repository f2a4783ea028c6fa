import { requestCancel } from "../../src/api/cancel.ts"
import { startRerun } from "../../src/api/rerun.ts"
import { resolve } from "../../src/api/resolve.ts"
import { ConveyorError } from "../../src/errors.ts"
import type { Pipeline, PipelineRecord } from "../../src/model/pipeline.ts"
import { pipelineKey, pipelineRevisionKey } from "../../src/store/keys.ts"
import type { Store } from "../../src/store/store.ts"
import { hashOf, submit } from "../rig/belt.ts"
import type { Random } from "../rig/random.ts"
import { StoreConnection } from "../rig/store-connection.ts"
import { type VirtualClock, VirtualProcess } from "../rig/virtual-clock.ts"
import type { Ledger } from "./ledger.ts"
import { randomPipeline } from "./random-work.ts"
import type { Weather } from "./weather.ts"

/** Runs submitted within one simulation; reruns come on top. */
export const runsPerSeed = 40
const submitMs = 120_000

export interface ClientsOptions {
  readonly clock: VirtualClock
  readonly store: Store
  readonly ledger: Ledger
  readonly random: Random
  readonly weather: Weather
  readonly seed: number
  readonly zones: readonly string[]
}

/**
 * Whoever submits resources, edits the pipeline, cancels, runs again, and says how attempts ended; as the API does it,
 * over a connection that has its faults too.
 */
export class Clients {
  readonly #options: ClientsOptions
  readonly #connection: StoreConnection
  readonly #api: { readonly store: Store; readonly now: () => Date }
  readonly #originals = new Map<string, string>()
  #pipeline: Pipeline
  #edit = 0
  #reruns = 0
  #healed = false

  constructor(options: ClientsOptions) {
    const { clock, store, random, weather } = options
    this.#options = options
    this.#pipeline = this.#newPipeline()
    this.#connection = new StoreConnection(store, {
      process: new VirtualProcess(clock),
      delayMs: () => random.below(20),
      fateOf: () => {
        const fate = this.#healed ? "done" : weather.fate()
        return fate === "killed-before" || fate === "killed-after" ? "answer-lost" : fate
      },
      lateMs: () => random.below(20_000),
    })
    this.#api = { store: this.#connection, now: () => new Date() }
  }

  /** Resolves when every submission was acknowledged: one that was not, and is not there, is made again. */
  async submitAll(): Promise<void> {
    const { random } = this.#options
    const submissions: Promise<void>[] = [this.#publish()]
    for (let n = 0; n < runsPerSeed; n++) {
      await Bun.sleep(random.chance(0.3) ? 0 : random.below(submitMs / runsPerSeed))
      if (random.chance(0.1)) {
        this.#edit++
        this.#pipeline = this.#newPipeline()
        submissions.push(this.#publish())
      }
      submissions.push(this.#submit(n))
    }
    await Promise.all(submissions)
  }

  cancelOne(): void {
    const { ledger, random } = this.#options
    const open = ledger.witness.runsThat("have not ended")
    if (open.length > 0) {
      const asked = { kill: random.chance(0.2), cleanup: random.chance(0.8) }
      refusable(requestCancel(this.#api, random.pick(open), asked))
    }
  }

  /** Runs one again that has ended: on what is there now, or on what was there then; all of it, or a part. */
  rerunOne(): void {
    const { ledger, random, seed } = this.#options
    const ended = ledger.witness.runsThat("have ended")
    if (ended.length === 0) return
    const [rerunOf, original] = [random.pick(ended), random.chance(0.5)]
    const runId = `run-${seed}-again-${String(++this.#reruns).padStart(4, "0")}`
    if (original) this.#originals.set(runId, rerunOf)
    const first = { guards: [], writes: () => [], isLost: async () => false }
    const part = random.pick([
      { type: "whole" },
      { type: "failed" },
      { type: "from", stepId: `s${random.below(3)}` },
    ] as const)
    const rerun = startRerun(this.#api, { rerunOf, runId, original, part, first })
    refusable(rerun.then(() => ledger.acknowledge(runId)))
  }

  /** Says how one attempt ended that nobody knows of. Two may say so at once. */
  resolveOne(): void {
    const { ledger, random } = this.#options
    const { asking } = ledger.witness
    if (asking.length > 0) this.#resolve(random.pick(asking))
  }

  resolveAll(): void {
    for (const question of this.#options.ledger.witness.asking) this.#resolve(question)
  }

  heal(): void {
    this.#healed = true
  }

  /** Reruns on what was there then are on what was there then. */
  expectOriginals(): void {
    const { witness } = this.#options.ledger
    for (const [runId, rerunOf] of this.#originals) {
      const [run, first] = [witness.headerOf(runId), witness.headerOf(rerunOf)]
      // A rerun that was refused, or lost and not acknowledged, is not there; one that was mended is something else.
      if (run === undefined || run.mended !== undefined) continue
      const isSame =
        run.pipeline?.hash === first?.pipeline?.hash &&
        Object.entries(first?.drivers ?? {}).every(([driver, hash]) => run.drivers?.[driver] === hash)
      if (!isSame) witness.fail(`run ${runId} is not what ${rerunOf} was`)
    }
  }

  #resolve({ runId, stepId }: { readonly runId: string; readonly stepId: string }): void {
    const { random } = this.#options
    for (let words = random.chance(0.3) ? 2 : 1; words > 0; words--) {
      const outcome = random.pick(["succeeded", "failed", "retry"] as const)
      const result = { success: outcome === "succeeded", message: `somebody says that ${stepId} ${outcome}` }
      const resolution = outcome === "retry" ? { outcome } : { outcome, result }
      refusable(resolve(this.#api, { runId, stepId, resolution }))
    }
  }

  #newPipeline(): Pipeline {
    const { random, weather, zones } = this.#options
    return randomPipeline({
      random,
      edit: this.#edit,
      onceChance: weather.onceChance,
      labelChance: weather.labelChance,
      languageChance: weather.languageChance,
      zones,
    })
  }

  /** Makes the pipeline the one that new runs start with. */
  async #publish(): Promise<void> {
    const pipeline = this.#pipeline
    const at = new Date().toISOString()
    const record: PipelineRecord = { pipeline, hash: hashOf(pipeline), createdAt: at, updatedAt: at }
    const value = JSON.stringify(record)
    await this.#insist(async () => {
      await this.#connection.commit(
        [],
        [
          { type: "put", key: pipelineKey(pipeline.name), value },
          { type: "put", key: pipelineRevisionKey(record.hash), value: JSON.stringify(pipeline) },
        ],
      )
    })
  }

  async #submit(n: number): Promise<void> {
    const { seed, random, ledger } = this.#options
    const pipeline = random.chance(0.15) ? {} : { pipeline: this.#pipeline }
    let attempt = 0
    await this.#insist(async () => {
      const runId = `run-${seed}-${String(n).padStart(4, "0")}-${++attempt}`
      await submit(this.#connection, { ...pipeline, runId })
      ledger.acknowledge(runId)
    })
  }

  async #insist(act: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await act()
      } catch (error) {
        if (!isOutage(error)) throw error
        await Bun.sleep(this.#options.random.below(1_000))
      }
    }
  }
}

/** What was asked for may be refused, or not be answered. */
function refusable(request: Promise<unknown>): void {
  request.catch((error: unknown) => {
    const isRefused =
      error instanceof ConveyorError && ["CONFLICT", "INVALID", "NOT_FOUND"].includes(error.code)
    if (!isRefused && !isOutage(error)) throw error
  })
}

function isOutage(error: unknown): boolean {
  return error instanceof ConveyorError && error.code === "STORE_UNAVAILABLE"
}
