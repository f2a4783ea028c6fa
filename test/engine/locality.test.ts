import { expect, test } from "bun:test"
import { openSqlite } from "../../src/store/sqlite.ts"
import { ended, pipelineOf, startEngine, submit } from "../rig/belt.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { until } from "../rig/until.ts"

/** Two hosts with the same drivers on one store, of which every attempt succeeds at once. */
async function twoHosts(options: { readonly attemptsMax?: number } = {}) {
  const parts = new AsyncDisposableStack()
  const store = parts.use(await openSqlite(":memory:"))
  const drivers = [new ScriptedDrivers("work"), new ScriptedDrivers("work")] as const
  for (const [index, of] of drivers.entries())
    parts.use(await startEngine(store, of, { hostId: `host-${index}`, ...options }))
  return { store, drivers, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

test("a run of many steps stays on the host where it began", async () => {
  await using hosts = await twoHosts()
  for (const of of hosts.drivers) of.automatic.add("work")
  const ids = Array.from({ length: 50 }, (_, index) => ({ id: `step-${index}`, driver: "work" }))
  const pipeline = pipelineOf({ steps: ids })
  for (let count = 0; count < 5; count++) {
    const { steps } = await ended(hosts.store, await submit(hosts.store, { pipeline }))
    expect(new Set(steps.map(({ hostId }) => hostId)).size).toBe(1)
  }
})

test("the attempts of a step that fails stay on the host where the run is, though both hosts are idle", async () => {
  await using hosts = await twoHosts()
  const hostsOf = new Map<string, Set<number>>()
  for (const [host, drivers] of hosts.drivers.entries()) {
    void (async () => {
      for (;;) {
        const work = await drivers.nextAttempt()
        const { runId, stepId } = work.attempt
        hostsOf.set(runId, (hostsOf.get(runId) ?? new Set()).add(host))
        if (stepId === "first") work.succeed()
        else work.fail("flaky")
      }
    })()
  }
  const retry = { attempts: 6, backoff: 2 }
  const steps = [
    { id: "first", driver: "work" },
    { id: "flaky", driver: "work", retry },
  ]
  const pipeline = pipelineOf({ steps })
  const runIds = await Promise.all(Array.from({ length: 20 }, () => submit(hosts.store, { pipeline })))
  for (const runId of runIds) expect((await ended(hosts.store, runId)).status).toBe("failed")
  expect([...hostsOf.values()].map(({ size }) => size)).toEqual(runIds.map(() => 1))
})

test("a host never runs more attempts than it may, however many could start", async () => {
  await using store = await openSqlite(":memory:")
  const drivers = new ScriptedDrivers("work")
  await using engine = await startEngine(store, drivers, { attemptsMax: 2 })
  const steps = Array.from({ length: 8 }, (_, index) => ({ id: `s${index}`, driver: "work", needs: [] }))
  const runId = await submit(store, { pipeline: pipelineOf({ steps }) })
  for (let settled = 0; settled < steps.length; settled++) {
    const work = await drivers.nextAttempt()
    // A run that nobody has work for is over once the engine has looked at all that was there before.
    await ended(store, await submit(store, { type: "nothing" }))
    expect(engine.load).toBeLessThanOrEqual(2)
    work.succeed()
  }
  expect((await ended(store, runId)).status).toBe("succeeded")
})

test("a step that the host of the run has no slot for is held up for a moment, and done by the other", async () => {
  await using hosts = await twoHosts({ attemptsMax: 1 })
  const [a, b] = hosts.drivers
  const steps = [
    { id: "build", driver: "work" },
    { id: "left", driver: "work", needs: ["build"] },
    { id: "right", driver: "work", needs: ["build"] },
  ]
  const runId = await submit(hosts.store, { pipeline: pipelineOf({ steps }) })
  await until("build has started", () => a.untaken + b.untaken === 1)
  const [home, other] = a.untaken === 1 ? [a, b] : [b, a]
  const build = await home.nextAttempt("build")
  build.succeed()
  const kept = await home.nextAttempt()
  const moved = await other.nextAttempt()
  expect([kept.attempt.stepId, moved.attempt.stepId].sort()).toEqual(["left", "right"])
  kept.succeed()
  moved.succeed()
  expect((await ended(hosts.store, runId)).status).toBe("succeeded")
})
