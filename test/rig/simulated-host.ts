import type { Engine } from "../../src/engine/engine.ts"
import type { Labels } from "../../src/model/labels.ts"
import type { ResultStore } from "../../src/results/result-store.ts"
import type { Revision, Store, Write } from "../../src/store/store.ts"
import { startEngine } from "./belt.ts"
import { MemoryResults } from "./memory-results.ts"
import { SimulatedDrivers, type SimulatedDriversOptions } from "./simulated-drivers.ts"
import { type Fate, StoreConnection } from "./store-connection.ts"
import { outside, type VirtualClock, VirtualProcess } from "./virtual-clock.ts"

/** How long a lease of these hosts lives, and how long their attempts may take to end. */
export const simulatedTtlMs = 9_000
export const simulatedGraceMs = 1_000

export interface SimulatedHostOptions {
  readonly hostId: string
  readonly clock: VirtualClock
  readonly store: Store
  readonly drivers: SimulatedDriversOptions
  readonly labels?: Labels
  readonly attemptsMax?: number
  readonly delayMs?: () => number
  readonly fateOf?: (writes: readonly Write[]) => Fate
  readonly lateMs?: () => number
  readonly onApplied?: (writes: readonly Write[], revision: Revision) => void
  /** The disk its large data lies on. Default: one of its own. */
  readonly results?: ResultStore
}

/** A real engine in a process of its own, in virtual time, on its own connection to a store. */
export class SimulatedHost {
  readonly hostId: string
  readonly process: VirtualProcess
  readonly connection: StoreConnection
  readonly drivers: SimulatedDrivers
  readonly #store: Store
  readonly #attemptsMax: number
  readonly labels: Labels
  readonly #results: ResultStore

  constructor(options: SimulatedHostOptions) {
    const { clock, store, hostId, drivers, labels = {}, attemptsMax = 64, results, ...faults } = options
    this.hostId = hostId
    this.process = new VirtualProcess(clock)
    this.connection = new StoreConnection(store, { process: this.process, ...faults })
    this.drivers = new SimulatedDrivers(drivers)
    this.#store = store
    this.#attemptsMax = attemptsMax
    this.labels = labels
    this.#results = results ?? new MemoryResults(hostId)
  }

  /** Starts the engine. Rejects when the store does not answer; settles never when the process dies before. */
  start(): Promise<Engine> {
    return this.process.run(() =>
      startEngine(this.connection, this.drivers, {
        hostId: this.hostId,
        leaseTtlMs: simulatedTtlMs,
        graceMs: simulatedGraceMs,
        attemptsMax: this.#attemptsMax,
        labels: this.labels,
        results: this.#results,
        // Folders are real, and would keep real time.
        workspaces: { pathOf: (runId) => runId, prepare: async () => undefined },
      }),
    )
  }

  /** Does something as this host's process would: a change of its drivers, say. */
  act(body: () => void): void {
    if (!this.process.killed.aborted) this.process.run(body)
  }

  /** `kill -9`. Its lease lives on until it ends by itself. */
  kill(): void {
    this.process.kill()
  }

  /** Ends its lease in the store as if its time were over. */
  async endLease(): Promise<void> {
    const { lease } = this.connection
    if (lease !== undefined) await outside(() => this.#store.revoke(lease))
  }
}
