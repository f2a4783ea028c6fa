import { expect, test } from "bun:test"
import type { Run, StepState } from "../../src/model/run.ts"
import { activeRunKey, claimKey, pipelineRevisionKey, runKey, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Write } from "../../src/store/store.ts"
import { hashOf, pipelineOf } from "../rig/belt.ts"
import { until } from "../rig/until.ts"
import { Witness } from "./witness.ts"

/* A witness that never says a word would make every simulation and every soak a success. */

const at = "2026-01-01T00:00:00.000Z"
const pipeline = pipelineOf({
  steps: [
    { id: "build", driver: "work" },
    { id: "ship", driver: "work", effects: "once" },
  ],
})
const hash = hashOf(pipeline)
const pending = {
  runId: "r",
  event: "create",
  resource: { type: "app", name: "shop", version: 1 },
  pipeline: { name: "release", hash },
  status: "pending",
  createdAt: at,
} satisfies Run
const running = { ...pending, status: "running", startedAt: at, drivers: { work: "h" } } satisfies Run
const attempted = (attempt: number, hostId = "a") => ({ attempt, driverHash: "h", hostId, startedAt: at })
const runs = (attempt: number, hostId = "a") =>
  ({ ...attempted(attempt, hostId), status: "running" }) as const
const done = { success: true, message: "" }
const ended = (attempt: number) =>
  ({ ...attempted(attempt), status: "succeeded", finishedAt: at, result: done }) as const

const header = (run: Run): Write => ({ type: "put", key: runKey("r"), value: JSON.stringify(run) })
const state = (stepId: string, value: StepState): Write => ({
  type: "put",
  key: stepKey("r", stepId),
  value: JSON.stringify(value),
})
const claim = (stepId: string, attempt: number, hostId = "a"): Write => ({
  type: "put",
  key: claimKey("r", stepId),
  value: JSON.stringify({ attempt, hostId }),
})
const released = (stepId: string): Write => ({ type: "delete", key: claimKey("r", stepId) })

const submitted: Write[] = [
  header(pending),
  { type: "put", key: activeRunKey("r"), value: "" },
  { type: "put", key: pipelineRevisionKey(hash), value: JSON.stringify(pipeline) },
]
const started = [header(running), state("build", runs(1)), claim("build", 1)]
const built = [state("build", ended(1)), released("build")]
const shipping = [state("ship", runs(1)), claim("ship", 1)]

const histories: readonly (readonly [sentence: string, commits: readonly Write[][], breach: string])[] = [
  ["nothing wrong in a run in order", [submitted, started, built, shipping], ""],
  ["a result that is written twice", [submitted, started, built, [state("build", ended(1))]], "result twice"],
  ["a second claim on a running attempt", [submitted, started, [claim("build", 1)]], "while it was claimed"],
  [
    "a takeover while the claim lives",
    [submitted, started, [state("build", { ...runs(2, "b"), origin: 1 })]],
    "started while a held #1",
  ],
  [
    "a takeover under another token",
    [submitted, started, [released("build")], [state("build", runs(2, "b")), claim("build", 2, "b")]],
    "goes under #undefined",
  ],
  ["a number that is left out", [submitted, [header(running), state("build", runs(2))]], "came after #0"],
  [
    "an end by somebody who does not hold it",
    [submitted, started, [released("build")], [state("build", ended(1))]],
    "did not hold it",
  ],
  ["a step before what it needs", [submitted, [header(running), ...shipping]], "before build"],
  [
    "what must happen once, done again",
    [
      submitted,
      started,
      built,
      shipping,
      [released("ship")],
      [state("ship", { ...runs(2), origin: 1 }), claim("ship", 2)],
    ],
    "does again what must happen once",
  ],
  [
    "an end while a step runs",
    [
      submitted,
      started,
      [
        header({ ...running, status: "failed", message: "", finishedAt: at }),
        { type: "delete", key: activeRunKey("r") },
      ],
    ],
    "ended while build was running",
  ],
  [
    "a run that changes its code",
    [submitted, started, [header({ ...running, drivers: { work: "i" } })]],
    "changed its code",
  ],
]

test.each(histories)("a witness sees %s", async (_, commits, breach) => {
  await using store = await openSqlite(":memory:")
  const witness = new Witness(store)
  const stop = new AbortController()
  const following = witness.follow(stop.signal)
  const changes = commits.flat().filter(({ key }) => key.startsWith("runs/")).length
  for (const writes of commits) await store.commit([], writes)
  await until("the witness has seen it all", () => witness.counts.changes === changes)
  await until("it has said what it has to say", () => breach === "" || witness.breaches.length > 0)
  stop.abort()
  await following
  if (breach === "") expect(witness.breaches).toEqual([])
  else expect(witness.breaches.join("\n")).toContain(breach)
})
