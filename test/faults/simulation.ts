import { ConveyorError } from "../../src/errors.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { cancelRun, submit } from "../rig/belt.ts"
import { type Random, randomFrom } from "../rig/random.ts"
import { type Fate, StoreConnection } from "../rig/store-connection.ts"
import { runVirtually, type VirtualClock, VirtualProcess } from "../rig/virtual-clock.ts"
import { Ledger } from "./ledger.ts"
import { randomPipeline } from "./random-work.ts"
import { type FaultCounts, SimulatedFleet } from "./simulated-fleet.ts"

/*
 * A seed's worth of trouble: real engines on a real store, in virtual time. For a while hosts die, sleep and come
 * back, lose their leases, their drivers and their connections; then all faults stop, and every run has to end.
 */

/** What one seed led to. */
export interface SimulationResult {
  readonly seed: number
  readonly runs: number
  readonly attempts: number
  /** Changes of runs in the store. */
  readonly changes: number
  readonly faults: FaultCounts
  readonly virtualMs: number
  /** The same for the same seed: identity of every change, in order, with its revision and its time. */
  readonly traceHash: string
}

/** Runs submitted within one simulation. */
export const runsPerSeed = 40

const troubleMs = 60_000
/** No run may take longer than this once nothing goes wrong any more. */
const recoveryMs = 600_000

/**
 * Plays one seed through. Throws with the seed in the message when a promise is broken or a run does not end.
 * Synchronous: it has the process and its clocks to itself.
 */
export function simulate(seed: number): SimulationResult {
  try {
    return runVirtually((clock) => play(seed, clock))
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

async function play(seed: number, clock: VirtualClock): Promise<SimulationResult> {
  const random = randomFrom(seed)
  // A short history makes slow watches lose their place by themselves.
  await using store = await openSqlite(":memory:", random.chance(0.5) ? { historyBytesMax: 40_000 } : {})
  const ledger = new Ledger(store)
  const stop = new AbortController()
  const following = ledger.witness.follow(stop.signal)
  const fleet = new SimulatedFleet({ clock, store, ledger, random, hostCount: 1 + random.below(3) })
  const clients = new Clients({ clock, store, ledger, random, seed })
  fleet.editOf = (runId) => clients.editOf(runId)

  await Promise.race([endure(), ledger.witness.broken])
  ledger.expectAllEnded()
  stop.abort()
  await following
  return {
    seed,
    runs: ledger.acknowledged.size,
    attempts: ledger.attempts,
    changes: ledger.witness.counts.changes,
    faults: fleet.faults,
    virtualMs: clock.nowMs,
    traceHash: ledger.witness.traceHash,
  }

  async function endure(): Promise<void> {
    fleet.startAll()
    const submitted = clients.submitAll()
    while (clock.nowMs < troubleMs) {
      await Bun.sleep(random.below(1_500))
      if (random.chance(0.2)) clients.cancelOne()
      else fleet.strike()
    }
    fleet.heal()
    clients.heal()
    await submitted
    for (const healedAt = clock.nowMs; ledger.witness.runsThat("have not ended").length > 0; ) {
      if (clock.nowMs > healedAt + recoveryMs)
        throw new Error(
          `runs are stuck:\n${ledger.witness.describe(ledger.witness.runsThat("have not ended"))}`,
        )
      await Bun.sleep(100)
    }
    // What the hosts still have in their hands now would be written within this time.
    await Bun.sleep(60_000)
  }
}

interface ClientsOptions {
  readonly clock: VirtualClock
  readonly store: Store
  readonly ledger: Ledger
  readonly random: Random
  readonly seed: number
}

/** Whoever submits resources, edits the pipeline and cancels, over a connection that has its faults too. */
class Clients {
  readonly #options: ClientsOptions
  readonly #connection: StoreConnection
  readonly #edits = new Map<string, number>()
  #pipeline: Pipeline
  #edit = 0
  #healed = false

  constructor(options: ClientsOptions) {
    const { clock, store, random } = options
    this.#options = options
    this.#pipeline = randomPipeline(random, this.#edit)
    this.#connection = new StoreConnection(store, {
      process: new VirtualProcess(clock),
      delayMs: () => random.below(20),
      fateOf: () => this.#fate(),
    })
  }

  /** The edit of the pipeline that stood when the run was submitted. */
  editOf(runId: string): number | undefined {
    return this.#edits.get(runId)
  }

  /** Resolves when every submission was acknowledged: one that was not, and is not there, is made again. */
  async submitAll(): Promise<void> {
    const { random } = this.#options
    const submissions: Promise<void>[] = []
    for (let n = 0; n < runsPerSeed; n++) {
      await Bun.sleep(random.chance(0.3) ? 0 : random.below((2 * troubleMs) / runsPerSeed))
      if (random.chance(0.1)) this.#pipeline = randomPipeline(random, ++this.#edit)
      submissions.push(this.#submit(n))
    }
    await Promise.all(submissions)
  }

  cancelOne(): void {
    const open = this.#options.ledger.witness.runsThat("have not ended")
    if (open.length === 0) return
    void cancelRun(this.#connection, this.#options.random.pick(open)).catch(ignoreOutage)
  }

  heal(): void {
    this.#healed = true
  }

  async #submit(n: number): Promise<void> {
    const { seed, random, ledger } = this.#options
    const pipeline = random.chance(0.15) ? {} : { pipeline: this.#pipeline }
    const edit = this.#edit
    for (let attempt = 1; ; attempt++) {
      const runId = `run-${seed}-${String(n).padStart(4, "0")}-${attempt}`
      this.#edits.set(runId, edit)
      try {
        await submit(this.#connection, { ...pipeline, runId })
        ledger.acknowledge(runId)
        return
      } catch (error) {
        ignoreOutage(error)
        await Bun.sleep(random.below(1_000))
      }
    }
  }

  #fate(): Fate {
    const { random } = this.#options
    if (this.#healed) return "done"
    if (random.chance(0.02)) return "lost"
    return random.chance(0.02) ? "answer-lost" : "done"
  }
}

function ignoreOutage(error: unknown): void {
  if (!(error instanceof ConveyorError && error.code === "STORE_UNAVAILABLE")) throw error
}
