import { describe, expect, test } from "bun:test"
import { simulate } from "./simulation.ts"

const runsMin = 10_000

describe("a simulation", () => {
  test("of ten thousand runs keeps every promise, whatever goes wrong", async () => {
    let runs = 0
    for (let seed = 1; runs < runsMin; seed++) {
      runs += simulate(seed).runs
      // Whatever else this process has to do is done between the seeds, in real time.
      await Bun.sleep(0)
    }
    expect(runs).toBeGreaterThanOrEqual(runsMin)
  }, 900_000)

  test("is the same for the same seed, and another for another", () => {
    const seeds = [3, 7, 42]
    const hashes = seeds.map((seed) => simulate(seed).traceHash)
    expect(seeds.map((seed) => simulate(seed).traceHash)).toEqual(hashes)
    expect(new Set(hashes).size).toBe(seeds.length)
  }, 120_000)
})
