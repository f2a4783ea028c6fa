import { expect, test } from "bun:test"
import { type AttemptOrder, LocalAttempts } from "../../src/engine/attempts.ts"
import { Workspaces } from "../../src/engine/workspaces.ts"
import { dataBytesMax } from "../../src/model/driver.ts"
import type { PipelineStep } from "../../src/model/pipeline.ts"
import type { ResultStore } from "../../src/results/result-store.ts"
import { MemoryResults } from "../rig/memory-results.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { shop } from "../rig/shop.ts"
import { until } from "../rig/until.ts"

const at = "2026-01-01T00:00:00.000Z"
const step: PipelineStep = { id: "build", driver: "build", needs: [], timeoutMs: 60_000 }
const order: AttemptOrder = {
  content: {
    run: {
      runId: "run",
      event: "create",
      resource: { type: "app", name: "shop", version: 1 },
      status: "running",
      createdAt: at,
      startedAt: at,
    },
    pipeline: undefined,
    steps: [step],
    states: new Map(),
    resource: shop,
    env: {},
    dataAt: () => undefined,
  },
  readsResults: true,
  step,
  state: { status: "running", attempt: 1, driverHash: "d", hostId: "here", startedAt: at },
}

function attemptsOn(
  drivers: ScriptedDrivers,
  results: Pick<ResultStore, "write"> = new MemoryResults("here"),
): LocalAttempts {
  return new LocalAttempts({
    drivers,
    workspaces: new Workspaces("/nowhere"),
    log: async () => {},
    results,
    graceMs: 10,
    fencedGraceMs: 10,
    defer: async () => {},
    onOutcome: () => {},
  })
}

test("an attempt launched while the host stops is over at once and no driver sees it", () => {
  const drivers = new ScriptedDrivers("build")
  const attempts = attemptsOn(drivers)
  attempts.close("the host is stopping")
  attempts.launch(order)
  expect(attempts.of("run").get("build")).toMatchObject({ aborted: "shutdown", outcome: { success: false } })
  expect(drivers.history).toEqual([])
})

test("the first reason for ending an attempt stands", async () => {
  const drivers = new ScriptedDrivers("build")
  const attempts = attemptsOn(drivers)
  attempts.launch(order)
  attempts.abort("run", "build", { reason: "timeout", message: "timed out" })
  attempts.abort("run", "build", { reason: "cancelled", message: "cancelled" })
  expect((await (await drivers.nextAttempt()).result).message).toBe("timed out")
  expect(attempts.of("run").get("build")?.aborted).toBe("timeout")
})

test("data over the limit fails the attempt and says how large it was", async () => {
  const drivers = new ScriptedDrivers("build")
  const attempts = attemptsOn(drivers)
  attempts.launch(order)
  ;(await drivers.nextAttempt()).succeed("x".repeat(dataBytesMax))
  const outcome = await until("the attempt has its outcome", () => attempts.of("run").get("build")?.outcome)
  expect(outcome.success).toBe(false)
  expect(outcome.message).toStartWith(`the driver's data is ${dataBytesMax + 2} bytes; at most`)
})

test("idle waits for the last attempt to be forgotten, or for its time to be up", async () => {
  const drivers = new ScriptedDrivers("build")
  const attempts = attemptsOn(drivers)
  attempts.launch(order)
  expect(await attempts.idle(1)).toBe(false)
  const idle = attempts.idle(60_000)
  attempts.forget("run", "build")
  expect(await idle).toBe(true)
})
