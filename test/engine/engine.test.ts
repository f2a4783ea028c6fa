import { describe, expect, test } from "bun:test"
import type { Resolution } from "../../src/model/run.ts"
import { activeRunKey, prefixes, runKey, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { claimOn, ended, pipelineOf, startEngine, stepIn, submit, view } from "../rig/belt.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { until } from "../rig/until.ts"

const buildThenShip = pipelineOf({ steps: [{ driver: "build" }, { driver: "ship" }] })
const fork = pipelineOf({
  steps: [
    { id: "left", driver: "work", needs: [] },
    { id: "right", driver: "work", needs: [] },
    { id: "join", driver: "work", needs: ["left", "right"] },
  ],
})

describe("a run of a pipeline", () => {
  test("does its steps in order and has succeeded at the end", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: buildThenShip })

    const build = await drivers.nextAttempt("build")
    expect(drivers.untaken).toBe(0)
    build.succeed()
    const ship = await drivers.nextAttempt("ship")
    ship.succeed()

    const run = await ended(store, runId)
    expect(run.status).toBe("succeeded")
    expect(run.steps.map(({ status }) => status)).toEqual(["succeeded", "succeeded"])
    expect(drivers.history).toEqual(["build#1", "ship#1"])
    expect(await store.get(activeRunKey(runId))).toBeUndefined()
    expect((await store.list("runs/claim/")).entries).toEqual([])
  })

  test("stops as failed when a result says so, and never starts the rest", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: buildThenShip })

    const build = await drivers.nextAttempt("build")
    build.fail("no such target")

    const run = await ended(store, runId)
    expect(run).toMatchObject({ status: "failed", message: 'step "build" failed: no such target' })
    expect(run.steps.map(({ status }) => status)).toEqual(["failed", "skipped"])
    expect(drivers.history).toEqual(["build#1"])
  })

  test("keeps the pipeline revision it was pinned to", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship", "sign")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: buildThenShip })
    const build = await drivers.nextAttempt("build")
    const edited = await submit(store, { pipeline: pipelineOf({ steps: [{ driver: "sign" }] }) })
    ;(await drivers.nextAttempt("sign")).succeed()
    build.succeed()
    ;(await drivers.nextAttempt("ship")).succeed()

    expect((await ended(store, runId)).steps.map(({ id }) => id)).toEqual(["build", "ship"])
    expect((await ended(store, edited)).steps.map(({ id }) => id)).toEqual(["sign"])
  })

  test("keeps the driver code it started with, also on a host that never had it", async () => {
    await using store = await openSqlite(":memory:")
    const before = new ScriptedDrivers().add("build", { hash: "b1" }).add("ship", { hash: "s1" })
    const first = await startEngine(store, before)
    const runId = await submit(store, { pipeline: buildThenShip })
    const build = await before.nextAttempt("build")
    before.add("ship", { hash: "s2" })
    build.succeed()
    expect((await before.nextAttempt("ship")).attempt.driver.hash).toBe("s1")
    await first[Symbol.asyncDispose]()

    const after = new ScriptedDrivers().add("build", { hash: "b2" }).add("ship", { hash: "s2" })
    await using _second = await startEngine(store, after)
    const again = await after.nextAttempt("ship")
    expect(again.attempt).toMatchObject({ attempt: 2, driver: { name: "ship", hash: "s1" } })
    again.succeed()
    expect(await ended(store, runId)).toMatchObject({
      status: "succeeded",
      drivers: { build: "b1", ship: "s1" },
    })
    const newer = await submit(store, { pipeline: buildThenShip })
    expect((await after.nextAttempt("build")).attempt).toMatchObject({ runId: newer, driver: { hash: "b2" } })
  })

  test("waits for code that only a host that is gone had, and says so", async () => {
    await using store = await openSqlite(":memory:")
    const before = new ScriptedDrivers().add("build", { hash: "b1" }).add("ship", { hash: "s1" })
    before.bundleOf = async () => undefined
    const first = await startEngine(store, before)
    const runId = await submit(store, { pipeline: buildThenShip })
    ;(await before.nextAttempt("build")).succeed()
    await before.nextAttempt("ship")
    await first[Symbol.asyncDispose]()

    const after = new ScriptedDrivers().add("build", { hash: "b2" }).add("ship", { hash: "s2" })
    await using _second = await startEngine(store, after)
    await stepIn(store, runId, "ship", "waiting")
    expect((await view(store, runId)).message).toBe(
      'waiting for driver "ship" as it was when the run started (s1)',
    )
    after.add("ship", { hash: "s1" })
    ;(await after.nextAttempt("ship")).succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
  })

  test("hands results, metadata and the resource on to later steps", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      metadata: { registry: "registry.local", color: "red" },
      steps: [
        { id: "compile", driver: "build" },
        { id: "publish", driver: "ship", with: { to: "prod" } },
      ],
    })
    await submit(store, { pipeline, metadata: { color: "blue" }, spec: { repo: "r" } })
    ;(await drivers.nextAttempt("compile")).succeed({ image: "app:1" })
    const { attempt } = await drivers.nextAttempt("publish")

    const result = { success: true, message: "done", data: { image: "app:1" } }
    expect(attempt.results).toEqual({ compile: result })
    expect(attempt.metadata).toEqual({ registry: "registry.local", color: "red" })
    expect(attempt.input).toEqual({ to: "prod" })
    expect(attempt.resource.spec).toEqual({ repo: "r" })
    expect(attempt.resource.metadata).toEqual({
      registry: "registry.local",
      color: "blue",
      driverresults: { build: result },
      "driverresults.build": JSON.stringify(result),
    })
  })

  test("may have the same driver twice, each with its own result", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, {
      pipeline: pipelineOf({ steps: [{ driver: "build" }, { driver: "build" }] }),
    })
    ;(await drivers.nextAttempt("build")).succeed(1)
    const second = await drivers.nextAttempt("build-2")
    expect(second.attempt.results["build"]?.data).toBe(1)
    second.succeed(2)

    const run = await ended(store, runId)
    expect(run.steps.map(({ id, result }) => [id, result?.data])).toEqual([
      ["build", 1],
      ["build-2", 2],
    ])
  })

  test("runs branches side by side and joins them", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: fork })
    const left = await drivers.nextAttempt("left")
    const right = await drivers.nextAttempt("right")
    right.succeed("r")
    await stepIn(store, runId, "right", "succeeded")
    expect(drivers.untaken).toBe(0)
    left.succeed("l")
    const join = await drivers.nextAttempt("join")
    expect(Object.keys(join.attempt.results).sort()).toEqual(["left", "right"])
    join.succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
  })

  test("ends the other branches when one fails", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: fork })
    const left = await drivers.nextAttempt("left")
    const right = await drivers.nextAttempt("right")
    right.fail("broken")
    expect((await left.result).message).toBe("cancelled: the run is stopping")

    const run = await ended(store, runId)
    expect(run).toMatchObject({ status: "failed", message: 'step "right" failed: broken' })
    expect(run.steps.map(({ status }) => status)).toEqual(["cancelled", "failed", "skipped"])
  })

  test("ends an attempt at its timeout, for good", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, {
      pipeline: pipelineOf({ steps: [{ driver: "build", timeout: 30 }, { driver: "ship" }] }),
    })
    const build = await drivers.nextAttempt("build")
    expect((await build.result).message).toBe("timed out after 30ms")
    const run = await ended(store, runId)
    expect(run.message).toBe('step "build" failed: timed out after 30ms')
    expect(drivers.history).toEqual(["build#1"])
  })

  test("tries a step again as often as its retry says", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, {
      pipeline: pipelineOf({ steps: [{ driver: "build", retry: { attempts: 3, backoff: 1 } }] }),
    })
    ;(await drivers.nextAttempt()).fail("first")
    ;(await drivers.nextAttempt()).fail("second")
    ;(await drivers.nextAttempt()).succeed()
    const run = await ended(store, runId)
    expect(run).toMatchObject({ status: "succeeded", steps: [{ attempt: 3 }] })
    expect(drivers.history).toEqual(["build#1", "build#2", "build#3"])
  })

  test("waits for a driver that is not loaded, says so, and goes on when it appears", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: buildThenShip })
    ;(await drivers.nextAttempt("build")).succeed()
    await stepIn(store, runId, "ship", "waiting")
    expect((await view(store, runId)).message).toBe('waiting for driver "ship"')
    drivers.add("ship")
    ;(await drivers.nextAttempt("ship")).succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
  })

  test("is cancelled when that is asked for, once its attempts have ended", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: buildThenShip })
    const build = await drivers.nextAttempt("build")
    await requestCancel(store, runId)
    expect((await build.result).message).toBe("cancelled: the run is stopping")
    const run = await ended(store, runId)
    expect(run).toMatchObject({
      status: "cancelled",
      steps: [{ status: "cancelled" }, { status: "skipped" }],
    })
  })

  test("fails with a message when the store lacks what it refers to", async () => {
    await using store = await openSqlite(":memory:")
    await using _engine = await startEngine(store, new ScriptedDrivers("build", "ship"))
    const runId = Bun.randomUUIDv7()
    const run = {
      runId,
      event: "create",
      resource: { type: "app", name: "gone", version: 1 },
      pipeline: { name: "release", hash: "nowhere" },
      status: "pending",
      createdAt: new Date().toISOString(),
    }
    await store.commit(
      [],
      [
        { type: "put", key: runKey(runId), value: JSON.stringify(run) },
        { type: "put", key: activeRunKey(runId), value: "" },
      ],
    )
    expect(await ended(store, runId)).toMatchObject({
      status: "failed",
      message: "pipeline revision nowhere is not in the store",
    })
  })
})

describe("a resource without a pipeline", () => {
  test("reaches every driver that listens for its kind, at once, as one run", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("other")
      .add("deploy", { resources: ["app"] })
      .add("audit", { resources: ["*"] })
      .add("mail", { resources: ["letter"] })
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store)
    const audit = await drivers.nextAttempt("audit")
    const deploy = await drivers.nextAttempt("deploy")
    audit.fail("not allowed")
    await stepIn(store, runId, "audit", "failed")
    deploy.succeed()
    const run = await ended(store, runId)
    expect(run).toMatchObject({ status: "failed", message: 'step "audit" failed: not allowed' })
    expect(run.steps.map(({ id, status }) => [id, status])).toEqual([
      ["audit", "failed"],
      ["deploy", "succeeded"],
    ])
  })

  test("has succeeded when nobody listens, and says so", async () => {
    await using store = await openSqlite(":memory:")
    await using _engine = await startEngine(store, new ScriptedDrivers("build"))
    const runId = await submit(store)
    expect(await ended(store, runId)).toMatchObject({
      status: "succeeded",
      message: 'no driver listens for "app"',
      steps: [],
    })
  })
})

describe("an engine", () => {
  test("goes on with every run that was not finished, as a new attempt", async () => {
    await using store = await openSqlite(":memory:")
    const before = new ScriptedDrivers("build", "ship")
    const engine = await startEngine(store, before)
    const runId = await submit(store, { pipeline: buildThenShip })
    ;(await before.nextAttempt("build")).succeed()
    await before.nextAttempt("ship")
    await engine[Symbol.asyncDispose]()
    expect(await claimOn(store, runId, "ship")).toBeUndefined()
    expect((await view(store, runId)).status).toBe("running")

    const after = new ScriptedDrivers("build", "ship")
    await using _engine = await startEngine(store, after)
    ;(await after.nextAttempt("ship")).succeed()
    expect(await ended(store, runId)).toMatchObject({
      status: "succeeded",
      steps: [{ attempt: 1 }, { attempt: 2 }],
    })
    expect(after.history).toEqual(["ship#2"])
  })

  test("takes up a cut-off attempt under the same token, and under a new one after a failure", async () => {
    await using store = await openSqlite(":memory:")
    const before = new ScriptedDrivers("build")
    const engine = await startEngine(store, before)
    await submit(store, {
      pipeline: pipelineOf({ steps: [{ driver: "build", retry: { attempts: 9, backoff: 0 } }] }),
    })
    const { token } = (await before.nextAttempt()).attempt
    await engine[Symbol.asyncDispose]()

    const after = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, after)
    const second = await after.nextAttempt()
    expect(second.attempt).toMatchObject({ attempt: 2, token })
    second.fail("no")
    expect((await after.nextAttempt()).attempt.token).not.toBe(token)
  })

  test("neither repeats nor fails a cut-off attempt that must happen once", async () => {
    await using store = await openSqlite(":memory:")
    const before = new ScriptedDrivers("pay", "ship")
    const engine = await startEngine(store, before, { hostId: "first" })
    const pipeline = pipelineOf({ steps: [{ driver: "pay", effects: "once" }, { driver: "ship" }] })
    const runId = await submit(store, { pipeline })
    const { token } = (await before.nextAttempt("pay")).attempt
    await engine[Symbol.asyncDispose]()

    const after = new ScriptedDrivers("pay", "ship")
    await using _engine = await startEngine(store, after)
    const probe = await after.nextAttempt("pay")
    expect(probe.attempt).toMatchObject({ attempt: 2, probing: true, token })
    probe.fail("the bank does not answer")
    const asked = await stepIn(store, runId, "pay", "waiting")
    expect((await view(store, runId)).message).toBe(
      "outcome unknown: attempt 1 was cut off on first; resolve it",
    )
    const resolution: Resolution = {
      outcome: "succeeded",
      result: { success: true, message: "paid", data: 7 },
    }
    const value = JSON.stringify({ ...asked, resolution })
    await store.commit([], [{ type: "put", key: stepKey(runId, "pay"), value }])
    const ship = await after.nextAttempt("ship")
    expect(ship.attempt.results["pay"]).toEqual({ success: true, message: "paid", data: 7 })
    ship.succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
    expect(after.history).toEqual(["pay#2", "ship#1"])
  })

  test("believes a probe that can tell how a cut-off attempt ended", async () => {
    await using store = await openSqlite(":memory:")
    const before = new ScriptedDrivers("pay")
    const engine = await startEngine(store, before)
    const pipeline = pipelineOf({ steps: [{ driver: "pay", effects: "once" }] })
    const runId = await submit(store, { pipeline })
    await before.nextAttempt("pay")
    await engine[Symbol.asyncDispose]()

    const after = new ScriptedDrivers("pay")
    await using _engine = await startEngine(store, after)
    ;(await after.nextAttempt("pay")).tell({ success: true, message: "it went through" })
    const run = await ended(store, runId)
    expect(run).toMatchObject({ status: "succeeded", steps: [{ attempt: 1, message: "it went through" }] })
    expect(run.steps[0]?.result).toEqual({ success: true, message: "it went through" })
  })

  test("that drains starts nothing new and writes down what ends in time", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship")
    await using engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: buildThenShip })
    const build = await drivers.nextAttempt("build")
    const drained = engine.drain(20_000)
    const later = await submit(store, { pipeline: buildThenShip })
    build.succeed()
    await drained
    expect(await stepIn(store, runId, "build", "succeeded")).toMatchObject({ attempt: 1 })
    expect((await view(store, later)).status).toBe("pending")
    expect(drivers.history).toEqual(["build#1"])
  })

  test("that drains ends what is still running after the grace period, and leaves it to the next", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build", "ship")
    await using engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: buildThenShip })
    const build = await drivers.nextAttempt("build")
    await engine.drain(10)
    expect((await build.result).message).toBe("ended: the host is stopping")
    expect((await view(store, runId)).steps[0]?.status).toBe("running")
    expect(await claimOn(store, runId, "build")).toBeUndefined()
  })

  test("runs no more attempts at once than it may, and all of them in the end", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using engine = await startEngine(store, drivers, { attemptsMax: 2 })
    const pipeline = pipelineOf({ steps: [{ driver: "build" }] })
    const runIds = await Promise.all(Array.from({ length: 7 }, () => submit(store, { pipeline })))
    for (let n = 0; n < runIds.length; n++) {
      const attempt = await drivers.nextAttempt()
      expect(engine.load).toBeLessThanOrEqual(2)
      attempt.succeed()
    }
    for (const runId of runIds) expect((await ended(store, runId)).status).toBe("succeeded")
  })

  test("passes a free slot on when the run that waited for it no longer needs it", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers, { attemptsMax: 1 })
    const pipeline = pipelineOf({ steps: [{ driver: "build" }] })
    await submit(store, { pipeline })
    const first = await drivers.nextAttempt()
    const second = await submit(store, { pipeline })
    const third = await submit(store, { pipeline })
    await requestCancel(store, second)
    await ended(store, second)
    first.succeed()
    expect((await drivers.nextAttempt()).attempt.runId).toBe(third)
  })

  test("leaves a pipeline that asks for labels to a host that has them, and says when there is none", async () => {
    await using store = await openSqlite(":memory:")
    const plain = new ScriptedDrivers("build")
    await using _plain = await startEngine(store, plain)
    const pipeline = pipelineOf({ host: { gpu: "yes", os: "linux" }, steps: [{ driver: "build" }] })
    const runId = await submit(store, { pipeline })
    await stepIn(store, runId, "build", "waiting")
    expect((await view(store, runId)).message).toBe("waiting for a host with gpu=yes,os=linux")

    const strong = new ScriptedDrivers("build")
    await using _strong = await startEngine(store, strong, { labels: { gpu: "yes", os: "linux", zone: "a" } })
    ;(await strong.nextAttempt()).succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
    expect(plain.history).toEqual([])
  })

  test("leaves a step to another host that has its driver", async () => {
    await using store = await openSqlite(":memory:")
    const here = new ScriptedDrivers("build")
    const there = new ScriptedDrivers("ship")
    await using _a = await startEngine(store, here)
    await using _b = await startEngine(store, there)
    const runId = await submit(store, { pipeline: buildThenShip })
    ;(await here.nextAttempt("build")).succeed()
    ;(await there.nextAttempt("ship")).succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
    expect([here.history, there.history]).toEqual([["build#1"], ["ship#1"]])
  })

  test("starts each attempt on one host only, however many compete", async () => {
    await using store = await openSqlite(":memory:")
    const hosts = [1, 2, 3].map(() => new ScriptedDrivers("build", "ship"))
    for (const drivers of hosts) drivers.automatic.add("build").add("ship")
    const engines = await Promise.all(hosts.map((drivers) => startEngine(store, drivers)))
    const runIds = await Promise.all(
      Array.from({ length: 40 }, () => submit(store, { pipeline: buildThenShip })),
    )
    for (const runId of runIds) {
      expect(await ended(store, runId)).toMatchObject({
        status: "succeeded",
        steps: [{ attempt: 1 }, { attempt: 1 }],
      })
    }
    expect(hosts.flatMap(({ history }) => history).length).toBe(80)
    for (const engine of engines) await engine[Symbol.asyncDispose]()
  })

  test("that lost its lease ends its attempts, and another takes them over", async () => {
    await using store = await openSqlite(":memory:")
    const sick = new ScriptedDrivers("build", "ship")
    await using _sick = await startEngine(store, sick, { leaseTtlMs: 300 })
    const runId = await submit(store, { pipeline: buildThenShip })
    const build = await sick.nextAttempt("build")
    const [host] = (await store.list(prefixes.hosts)).entries
    await store.revoke({ id: host?.lease ?? "", ttlMs: 300 })
    await build.result
    const again = await sick.nextAttempt("build")
    expect(again.attempt.attempt).toBe(2)
    again.succeed()
    ;(await sick.nextAttempt("ship")).succeed()
    expect((await ended(store, runId)).steps.map(({ attempt }) => attempt)).toEqual([2, 1])
    await until("the host is back", async () => (await store.list(prefixes.hosts)).entries.length === 1)
  })
})

async function requestCancel(store: Awaited<ReturnType<typeof openSqlite>>, runId: string): Promise<void> {
  await until("the cancel is written", async () => {
    const entry = await store.get(runKey(runId))
    if (entry === undefined) return undefined
    const run = { ...JSON.parse(entry.value), cancelRequestedAt: new Date().toISOString() }
    const guard = { key: entry.key, modRevision: entry.modRevision }
    return await store.commit([guard], [{ type: "put", key: entry.key, value: JSON.stringify(run) }])
  })
}
