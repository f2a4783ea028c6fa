/*
 * `bun run simulate --seed N --for 10m`: simulations from this seed on for as long as that, with one line per minute;
 * with `--seeds M`, this many of them. Ends with 1 at the first seed that breaks a promise, and names it;
 * `--seed N --seeds 1` plays that one again.
 */
import { parseArgs } from "node:util"
import { parseDuration } from "../../src/model/duration.ts"
import { simulate } from "./simulation.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    for: { type: "string", default: "1m" },
    seeds: { type: "string" },
  },
})
const firstSeed = Number(values.seed)
const forMs = values.seeds === undefined ? parseDuration(values.for) : Number.POSITIVE_INFINITY
const seedsMax = Number(values.seeds ?? Number.MAX_SAFE_INTEGER)
if (!Number.isSafeInteger(firstSeed) || !Number.isSafeInteger(seedsMax) || forMs === undefined) {
  process.stderr.write("usage: bun run simulate [--seed N] [--for 10m | --seeds M]\n")
  process.exit(2)
}

const lineEveryMs = 60_000
const totals = { runs: 0, attempts: 0, changes: 0, faults: 0, virtualMs: 0 }
const startedAt = performance.now()
let lineAt = startedAt + lineEveryMs
let seed = firstSeed

const cell = (value: number | string) => String(value).padStart(12)
const say = (cells: readonly (number | string)[]) => process.stdout.write(`${cells.map(cell).join("")}\n`)
const line = () =>
  say([
    seed,
    totals.runs,
    totals.attempts,
    totals.changes,
    totals.faults,
    Math.round(totals.virtualMs / 3_600_000),
    Math.round((performance.now() - startedAt) / 1_000),
  ])

say(["next seed", "runs", "attempts", "changes", "faults", "sim. hours", "seconds"])
do {
  try {
    const result = simulate(seed)
    totals.runs += result.runs
    totals.attempts += result.attempts
    totals.changes += result.changes
    totals.faults += Object.values(result.faults).reduce((sum, count) => sum + count, 0)
    totals.virtualMs += result.virtualMs
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.stderr.write(`play it again: bun run simulate --seed ${seed} --seeds 1\n`)
    process.exit(1)
  }
  seed++
  if (performance.now() >= lineAt) {
    line()
    lineAt += lineEveryMs
  }
} while (seed < firstSeed + seedsMax && performance.now() - startedAt < forMs)
line()
