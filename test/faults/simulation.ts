import { openSqlite } from "../../src/store/sqlite.ts"
import { randomFrom } from "../rig/random.ts"
import { runVirtually, type VirtualClock } from "../rig/virtual-clock.ts"
import { Ledger } from "./ledger.ts"
import { Clients } from "./simulated-clients.ts"
import { clockJumpsMs, type FaultCounts, SimulatedFleet } from "./simulated-fleet.ts"
import { Weather } from "./weather.ts"

/*
 * A seed's worth of trouble: real engines on a real store, in virtual time. For a while all that the seed's weather holds
 * goes wrong: hosts die, drain, sleep and come back, lose their leases, their drivers, their connections and the right
 * time; news are late or lost; commits are lost, or their answers, or arrive long after they were given up. Meanwhile
 * people submit, edit, cancel, run again, and say how attempts ended. Then all faults stop, and every run has to end.
 *
 * What must be so at each step is written above witness.ts (runs), step-rules.ts (steps) and ledger.ts (attempts).
 * Beside that: an acknowledged submission is never lost, a rerun of the original runs what the original ran, and no run
 * is stuck once nothing goes wrong any more.
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

const troubleMs = 60_000
/** No run may take longer than this once nothing goes wrong any more. */
const recoveryMs = 600_000 + Math.max(...clockJumpsMs)

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
  const ledger = new Ledger(store, { hasData: (ref) => fleet.disks.has(ref) })
  const stop = new AbortController()
  const following = ledger.witness.follow(stop.signal)
  const weather = new Weather(random)
  const zones = ["a", "b", "c"].slice(0, random.pick([1, 2, 2, 3, 3]))
  const fleet = new SimulatedFleet({ clock, store, ledger, random, weather, zones })
  const clients = new Clients({ clock, store, ledger, random, weather, zones, seed })

  await Promise.race([endure(), ledger.witness.broken])
  clients.expectOriginals()
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
      await Bun.sleep(random.below(weather.strikeMsMax))
      fleet.strike()
      if (random.chance(weather.cancelChance)) clients.cancelOne()
      if (random.chance(weather.rerunChance)) clients.rerunOne()
      if (random.chance(weather.resolveChance)) clients.resolveOne()
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
      clients.resolveAll()
    }
    // What the hosts still have in their hands now would be written within this time.
    await Bun.sleep(60_000)
  }
}
