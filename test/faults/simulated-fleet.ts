import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { Engine } from "../../src/engine/engine.ts"
import type { Lease, Store } from "../../src/store/store.ts"
import type { Random } from "../rig/random.ts"
import { SimulatedHost, simulatedTtlMs } from "../rig/simulated-host.ts"
import type { Fate } from "../rig/store-connection.ts"
import type { VirtualClock } from "../rig/virtual-clock.ts"
import type { Ledger } from "./ledger.ts"
import { driverNames, randomCourse, resourcesOf } from "./random-work.ts"

/** Every way in which something goes wrong, with how likely it is beside the others. */
const faultWeights = {
  kill: 3,
  start: 5,
  stop: 2,
  pause: 3,
  cut: 3,
  "slow watch": 3,
  "lost history": 3,
  "lease loss": 2,
  "driver gone": 3,
  "driver edited": 4,
} as const

type Fault = keyof typeof faultWeights
/** How often each fault happened. The last two happen to single commits. */
export type FaultCounts = { readonly [fault in Fault | "lost commit" | "lost answer"]: number }

const allFaults = Object.entries(faultWeights).flatMap(([fault, weight]) =>
  Array.from({ length: weight }, () => fault as Fault),
)

export interface FleetOptions {
  readonly clock: VirtualClock
  readonly store: Store
  readonly ledger: Ledger
  readonly random: Random
  readonly hostCount: number
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
  /** How long a message to or from the store is on its way, at most and unless it is held up. */
  readonly #usualDelayMs: number
  #generation = 0
  #driverEdit = 0
  #healed = false
  /** The edit of the pipeline a run was submitted with. */
  editOf: (runId: string) => number | undefined = () => undefined

  constructor(options: FleetOptions) {
    this.#options = options
    this.#usualDelayMs = options.random.pick([4, 4, 300])
    this.#slots = Array.from({ length: options.hostCount }, () => undefined)
    const zero = Object.keys(faultWeights).map((fault) => [fault, 0])
    this.#counts = { ...Object.fromEntries(zero), "lost commit": 0, "lost answer": 0 }
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
    const { random } = this.#options
    const index = random.below(this.#slots.length)
    const fault = random.pick(allFaults)
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
      slot.host.connection.watchDelayMs = 0
      slot.host.act(() => {
        for (const name of driverNames) this.#serve(slot.host, name)
      })
    }
    this.startAll()
  }

  #befall(fault: Exclude<Fault, "start">, slot: Slot, index: number): void {
    const { random } = this.#options
    const { host } = slot
    switch (fault) {
      case "kill":
        host.kill()
        break
      case "stop":
        this.#slots[index] = undefined
        host.act(() => void slot.engine?.[Symbol.asyncDispose]())
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
      case "slow watch":
        host.connection.watchDelayMs = this.#healed ? 0 : random.below(5_000)
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
    const { clock, store, ledger, random } = this.#options
    const hostId = `host-${index}-${++this.#generation}`
    const host = new SimulatedHost({
      hostId,
      clock,
      store,
      attemptsMax: 1 + random.below(random.pick([2, 8])),
      delayMs: () => random.below(random.chance(0.05) ? 200 : this.#usualDelayMs),
      fateOf: () => this.#fate(),
      onApplied: (_, revision) => ledger.applied(hostId, revision),
      drivers: {
        courseOf: (attempt) => randomCourse(random, attempt),
        onStart: (attempt) => {
          this.#expectPinned(attempt)
          ledger.started(hostId, attempt, { excused: this.#isStopped(slot) })
        },
        onEnd: (attempt, result) => ledger.ended(hostId, attempt, result),
      },
    })
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

  /** Does it act on what it decided before it was stopped in its tracks? */
  #isStopped({ host, resumedAtMs, takenLease }: Slot): boolean {
    const lostLease = takenLease !== undefined && host.connection.lease === takenLease
    return lostLease || resumedAtMs === this.#options.clock.nowMs
  }

  #expectPinned(attempt: Attempt): void {
    const edit = attempt.metadata["edit"]
    if (edit === undefined || edit === this.editOf(attempt.runId)) return
    this.#options.ledger.witness.fail(`${attempt.token} runs edit ${edit} of its pipeline`)
  }

  #fate(): Fate {
    const { random } = this.#options
    if (this.#healed) return "done"
    if (random.chance(0.002)) return random.pick(["killed-before", "killed-after"])
    if (random.chance(0.005)) {
      this.#counts["lost commit"]++
      return "lost"
    }
    if (random.chance(0.01)) {
      this.#counts["lost answer"]++
      return "answer-lost"
    }
    return "done"
  }
}
