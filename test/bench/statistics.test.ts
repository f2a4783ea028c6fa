import { describe, expect, test } from "bun:test"
import { summarise } from "./results.ts"
import { median, percentile } from "./statistics.ts"
import { tableOf } from "./table.ts"
import { transitionsOfRun } from "./transitions.ts"

describe("statistics", () => {
  test("a median is the middle value, whatever the order", () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNaN()
  })

  test("a percentile is a value that was measured", () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index)
    expect(percentile(values, 50)).toBe(100)
    expect(percentile(values, 99)).toBe(198)
    expect(percentile(values, 100)).toBe(200)
    expect(percentile([7], 1)).toBe(7)
  })
})

describe("a summary", () => {
  const rounds = [
    { loadSteps: 4_000, groupedSteps: 40_000, aloneP50: 2 },
    { loadSteps: 5_000, groupedSteps: 40_000, aloneP50: 4 },
    { loadSteps: 6_000, groupedSteps: 40_000, aloneP50: 2 },
  ]

  test("says whether a median reaches its target: at least a rate, at most a time", () => {
    const section = summarise(rounds, { machine: [], targets: true })
    expect(section.get("loadSteps")).toMatchObject({ median: 5_000, min: 4_000, max: 6_000, reached: false })
    expect(section.get("aloneP50")).toMatchObject({ median: 2, reached: true })
  })

  test("compares with the floor as times slower", () => {
    const section = summarise(rounds, { machine: [{ spawnMs: 1 }], targets: false })
    expect(section.get("loadSteps")?.timesFloor).toBe(8)
    expect(section.get("loadSteps")).not.toHaveProperty("reached")
  })

  test("is printed with what was missed", () => {
    const table = tableOf("sqlite", summarise(rounds, { machine: [], targets: true }))
    expect(table).toMatch(/64 in flight: steps +5,000 {2}steps\/s +4,000 +6,000 {2}≥ 10,000 missed +8\n/)
  })
})

test("the floors write what a run of the load writes: a commit for the submission and each transition", () => {
  const transitions = transitionsOfRun({ id: "lease", ttlMs: 1_000 })
  expect(transitions.map(({ writes }) => writes.length)).toEqual([3, 3, 4, 4, 4, 4, 4])
})
