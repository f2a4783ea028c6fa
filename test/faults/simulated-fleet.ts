import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { Engine } from "../../src/engine/engine.ts"
import type { Lease, Store } from "../../src/store/store.ts"
import type { Random } from "../rig/random.ts"
import { SimulatedHost, simulatedTtlMs } from "../rig/simulated-host.ts"
import type { Fate } from "../rig/store-connection.ts"
import type { VirtualClock } from "../rig/virtual-clock.ts"
import type { Ledger } from "./ledger.ts"
import { driverNames, randomCourse, resourcesOf } from "./random-work.ts"
import { SimulatedDisks } from "./simulated-disks.ts"
import { type Fault, fateNames, faultNames, type Weather } from "./weather.ts"

/** How far a wall clock may be off. */
export const clockJumpsMs = [1_000, 30_000, 600_000] as const

/** How often each fault happened. */
export type FaultCounts = { readonly [fault in Fault | Exclude<Fate, "done">]: number }

export interface FleetOptions {
  readonly clock: VirtualClock
  readonly store: Store
  readonly ledger: Ledger
  readonly random: Random
  readonly weather: Weather
  /** One host for each, with this as its label `zone`. */
  readonly zones: readonly string[]
}

interface Slot {
  host: SimulatedHost
  engine: Engine | undefined
  /** Going on after a pause at this moment: what it does now it decided before. */
  resumedAtMs: number
  /** The lease that was taken from it. */
  takenLease: Lease | undefined
}

/** The hosts of a simulation, and all that happens to them. */
export class SimulatedFleet {
  readonly #options: FleetOptions
  readonly #slots: (Slot | undefined)[]
  readonly #counts: Record<keyof FaultCounts, number>
  /** What lies on one is there for whoever is started in its slot. */
  readonly disks: SimulatedDisks
  #generation = 0
  #driverEdit = 0
  #healed = false

  constructor(options: FleetOptions) {
    this.#options = options
    this.#slots = options.zones.map(() => undefined)
    const { random, weather } = options
    this.disks = new SimulatedDisks({
      count: options.zones.length,
      isUp: (index) => this.#answers(index),
      delayMs: () => random.below(weather.delayMsMax),
    })
    this.#counts = Object.fromEntries([...faultNames, ...fateNames].map((name) => [name, 0])) as FaultCounts
  }

  get faults(): FaultCounts {
    return this.#counts
  }

  /** Starts a host in every slot that has none. */
  startAll(): void {
    for (const index of this.#slots.keys()) this.#startIn(index)
  }

  /** Something goes wrong. */
  strike(): void {
    const { random, weather } = this.#options
    const index = random.below(this.#slots.length)
    const fault = weather.fault()
    const slot = this.#slots[index]
    if (fault === "start") {
      if (slot === undefined) this.#counts.start++
      this.#startIn(index)
    } else if (slot !== undefined) {
      this.#counts[fault]++
      this.#befall(fault, slot, index)
    }
  }

  /** All faults stop: every host is there, with every driver, and hears and is heard. */
  heal(): void {
    this.#healed = true
    for (const slot of this.#slots) {
      if (slot === undefined) continue
      this.#resume(slot)
      slot.host.connection.cut = false
      slot.host.connection.watchDelayMs = this.#options.weather.watchDelayMs
      slot.host.connection.slowMs = 0
      slot.host.process.wallOffsetMs = 0
      slot.host.act(() => {
        for (const name of driverNames) this.#serve(slot.host, name)
      })
    }
    this.startAll()
  }

  #befall(fault: Exclude<Fault, "start">, slot: Slot, index: number): void {
    const { random, weather } = this.#options
    const { host } = slot
    switch (fault) {
      case "kill":
        host.kill()
        break
      case "stop":
        this.#slots[index] = undefined
        host.act(() => void slot.engine?.[Symbol.asyncDispose]())
        break
      case "drain":
        this.#slots[index] = undefined
        host.act(() => void this.#drain(slot))
        break
      case "pause":
        this.#options.ledger.excuse(host.hostId)
        host.process.pause()
        setTimeout(() => this.#resume(slot), random.below(2 * simulatedTtlMs))
        break
      case "cut":
        host.connection.cut = true
        setTimeout(
          () => {
            host.connection.cut = false
          },
          random.below(2 * simulatedTtlMs),
        )
        break
      case "slow store":
        host.connection.slowMs = random.chance(0.5) ? 0 : random.below(2_000)
        break
      case "slow watch":
        host.connection.watchDelayMs = random.chance(0.3)
          ? weather.watchDelayMs
          : random.below(random.pick([500, 5_000, 30_000]))
        break
      case "clock jump":
        host.process.wallOffsetMs = random.pick([-1, 0, 1]) * random.pick(clockJumpsMs)
        break
      case "lost history":
        host.connection.loseHistory()
        break
      case "lease loss":
        this.#options.ledger.excuse(host.hostId)
        slot.takenLease = host.connection.lease
        void host.endLease()
        break
      case "driver gone":
        host.act(() => host.drivers.remove(random.pick(driverNames)))
        break
      case "driver edited":
        this.#driverEdit++
        host.act(() => this.#serve(host, random.pick(driverNames)))
        break
      default:
        fault satisfies never
    }
  }

  async #drain({ engine }: Slot): Promise<void> {
    await engine?.drain(this.#options.random.below(5_000))
    await engine?.[Symbol.asyncDispose]()
  }

  #resume(slot: Slot): void {
    if (!slot.host.process.paused) return
    slot.resumedAtMs = this.#options.clock.nowMs
    this.#options.ledger.excuse(slot.host.hostId)
    slot.host.process.resume()
  }

  #serve(host: SimulatedHost, name: string): void {
    host.drivers.add(name, { hash: `${name}-${this.#driverEdit}`, resources: resourcesOf(name) })
  }

  #startIn(index: number): void {
    if (this.#slots[index] !== undefined) return
    const { clock, store, ledger, random, weather, zones } = this.#options
    const labels = { zone: zones[index] ?? "" }
    const hostId = `host-${index}-${++this.#generation}`
    const host = new SimulatedHost({
      hostId,
      clock,
      store,
      labels,
      attemptsMax: 1 + random.below(random.pick([2, 8])),
      delayMs: () => random.below(random.chance(0.05) ? 200 : weather.delayMsMax),
      fateOf: () => this.#fate(),
      lateMs: () => random.below(20_000),
      results: this.disks.seenFrom(index),
      onApplied: (_, revision) => ledger.applied(hostId, revision),
      drivers: {
        courseOf: (attempt) => randomCourse(attempt, { ...weather, random }),
        onStart: (attempt) => {
          this.#expectPinned(attempt)
          ledger.started(hostId, attempt, { excused: this.#isStopped(slot), labels })
        },
        onEnd: (attempt, result) => ledger.ended(hostId, attempt, result),
      },
    })
    host.connection.watchDelayMs = weather.watchDelayMs
    const slot: Slot = { host, engine: undefined, resumedAtMs: -1, takenLease: undefined }
    for (const name of driverNames) if (this.#healed || random.chance(0.8)) this.#serve(host, name)
    this.#slots[index] = slot
    const leave = () => {
      if (this.#slots[index] === slot) this.#slots[index] = undefined
      if (this.#healed) this.#startIn(index)
    }
    host.process.killed.addEventListener("abort", () => {
      ledger.excuse(hostId)
      leave()
    })
    host.start().then(
      (engine) => {
        slot.engine = engine
      },
      // The store did not answer: the process ends, and somebody starts it again.
      () => host.kill(),
    )
  }

  #answers(index: number): boolean {
    const host = this.#slots[index]?.host
    return host !== undefined && !host.connection.cut && !host.process.paused
  }

  /** Does it act on what it decided before it was stopped in its tracks? */
  #isStopped({ host, resumedAtMs, takenLease }: Slot): boolean {
    const lostLease = takenLease !== undefined && host.connection.lease === takenLease
    return lostLease || resumedAtMs === this.#options.clock.nowMs
  }

  #expectPinned(attempt: Attempt): void {
    const { witness } = this.#options.ledger
    // One that was mended may start on its new pipeline before the witness has heard of that.
    if (witness.headerOf(attempt.runId)?.mended !== undefined) return
    const edit = witness.pipelineOf(attempt.runId)?.metadata["edit"]
    if (edit === undefined || attempt.metadata["edit"] === edit) return
    witness.fail(`${attempt.token} runs edit ${attempt.metadata["edit"]} of its pipeline, not ${edit}`)
  }

  #fate(): Fate {
    const fate = this.#healed ? "done" : this.#options.weather.fate()
    if (fate !== "done") this.#counts[fate]++
    return fate
  }
}
