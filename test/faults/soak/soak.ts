/*
 * `bun run soak --for 1h --hosts 3 --store etcd --seed N`: hosts of the executable on one etcd, in constant trouble. A
 * line of the table every so often (`--every 10s`), or JSON (`--json`). Ends with 1 when a promise was broken, and says
 * where all that was seen is kept.
 */
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { parseDuration } from "../../../src/model/duration.ts"
import { buildExecutable } from "../../rig/executable.ts"
import { runSoak } from "./run-soak.ts"
import { reportHeading, reportLine, type SoakReport } from "./soak-report.ts"

const { values } = parseArgs({
  options: {
    for: { type: "string", default: "1h" },
    hosts: { type: "string", default: "3" },
    store: { type: "string", default: "etcd" },
    seed: { type: "string", default: "1" },
    rate: { type: "string", default: "4" },
    faults: { type: "string", default: "1500ms" },
    every: { type: "string", default: "10s" },
    json: { type: "boolean", default: false },
  },
})
const given = {
  forMs: parseDuration(values.for),
  faultEveryMs: parseDuration(values.faults),
  lineEveryMs: parseDuration(values.every),
  hosts: Number(values.hosts),
  seed: Number(values.seed),
  runsPerSecond: Number(values.rate),
}
const { forMs, faultEveryMs, lineEveryMs, hosts, seed, runsPerSecond } = given
const isStore = values.store === "etcd" || /^etcd:\/\/[^/]+$/.test(values.store)
if (
  forMs === undefined ||
  faultEveryMs === undefined ||
  lineEveryMs === undefined ||
  ![hosts, seed].every(Number.isSafeInteger) ||
  hosts < 1 ||
  !(runsPerSecond > 0) ||
  !isStore
) {
  process.stderr.write(
    "usage: bun run soak [--for 1h] [--hosts 3] [--store etcd|etcd://HOST:PORT] [--seed N] [--rate 4] [--faults 1500ms] [--every 10s] [--json]\n",
  )
  process.exit(2)
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
const say = (report: SoakReport) =>
  process.stdout.write(`${values.json ? JSON.stringify(report) : reportLine(report)}\n`)
if (!values.json) process.stdout.write(`${reportHeading}\n`)
const folder = join(tmpdir(), `conveyor-soak-${seed}-${Bun.randomUUIDv7()}`)
let isBroken = false
{
  await using executable = await buildExecutable()
  const verdict = await runSoak({
    executable: executable.path,
    forMs,
    hosts,
    store: values.store,
    seed,
    folder,
    runsPerSecond,
    faultEveryMs,
    lineEveryMs,
    onLine: say,
  })
  say(verdict)
  isBroken = verdict.sentences.length > 0
  for (const sentence of verdict.sentences.slice(0, 20)) process.stderr.write(`${sentence}\n`)
}
process.stderr.write(isBroken ? `what was seen is in ${folder}\n` : "every promise was kept\n")
process.exit(isBroken ? 1 : 0)
