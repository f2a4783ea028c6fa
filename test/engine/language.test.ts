import { describe, expect, test } from "bun:test"
import { prefixes } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { cancelRun, ended, pipelineOf, startEngine, stepIn, submit, view } from "../rig/belt.ts"
import { FaultyStore } from "../rig/faulty-store.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { until } from "../rig/until.ts"

/* What the pipeline language promises, with a real engine on a real store; drivers do what the tests say. */

/** An expression, as it stands in a text. */
const cel = (expression: string) => `\${{ ${expression} }}`

const statuses = async (store: Store, runId: string) =>
  Object.fromEntries((await ended(store, runId)).steps.map(({ id, status }) => [id, status]))

describe("a condition", () => {
  test("skips its step when it is false, and says what it read", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      steps: [
        { id: "test", driver: "work" },
        { id: "deploy", driver: "work", if: "resource.spec.branch == 'main'" },
        { id: "tell", driver: "work", needs: ["test", "deploy"] },
      ],
    })
    const runId = await submit(store, { pipeline, spec: { branch: "mine" } })
    const run = await ended(store, runId)
    expect(run.status).toBe("succeeded")
    expect(run.steps.map(({ status }) => status)).toEqual(["succeeded", "skipped", "succeeded"])
    expect(run.steps[1]).toMatchObject({
      message: "its condition is false: resource.spec.branch == 'main'",
      condition: { values: [{ expression: "resource.spec.branch", value: "mine" }] },
    })
  })

  test("reads how steps before it ended, and what they gave", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      steps: [
        { id: "test", driver: "work", continueOnError: true },
        { id: "report", driver: "work", if: "steps.test.status == 'failed' && steps.test.message == 'no'" },
      ],
    })
    const runId = await submit(store, { pipeline })
    ;(await drivers.nextAttempt("test")).fail("no")
    ;(await drivers.nextAttempt("report")).succeed()
    expect(await ended(store, runId)).toMatchObject({ status: "succeeded" })
  })

  test("without a value fails its step", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      steps: [{ id: "deploy", driver: "work", if: "resource.spec.branch == 'main'" }],
    })
    const run = await ended(store, await submit(store, { pipeline }))
    expect(run.status).toBe("failed")
    expect(run.steps[0]).toMatchObject({ status: "failed", attempt: 0 })
    expect(run.message).toContain("\"resource.spec.branch == 'main'\" has no value")
    expect(drivers.history).toEqual([])
  })
})

describe("a failure", () => {
  test("ends the other branches, and starts what handles it", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      steps: [
        { id: "left", driver: "work", needs: [] },
        { id: "right", driver: "work", needs: [] },
        { id: "rollback", driver: "work", needs: ["left", "right"], if: "failure()" },
      ],
    })
    const runId = await submit(store, { pipeline })
    const right = await drivers.nextAttempt("right")
    ;(await drivers.nextAttempt("left")).fail("no")
    expect((await right.result).message).toContain("cancelled")
    ;(await drivers.nextAttempt("rollback")).succeed()
    expect(await statuses(store, runId)).toEqual({
      left: "failed",
      right: "cancelled",
      rollback: "succeeded",
    })
    expect(await ended(store, runId)).toMatchObject({ status: "failed", message: 'step "left" failed: no' })
  })

  test("leaves the other branches alone where the pipeline says so", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      failFast: false,
      steps: [
        { id: "left", driver: "work", needs: [] },
        { id: "right", driver: "work", needs: [] },
        { id: "after", driver: "work", needs: ["right"] },
        { id: "join", driver: "work", needs: ["left", "right"] },
      ],
    })
    const runId = await submit(store, { pipeline })
    const right = await drivers.nextAttempt("right")
    ;(await drivers.nextAttempt("left")).fail("no")
    await stepIn(store, runId, "left", "failed")
    right.succeed()
    ;(await drivers.nextAttempt("after")).succeed()
    expect(await statuses(store, runId)).toEqual({
      left: "failed",
      right: "succeeded",
      after: "succeeded",
      join: "skipped",
    })
  })
})

describe("cleanup", () => {
  const pipeline = pipelineOf({
    steps: [
      { id: "start", driver: "work", ensure: { id: "stop", driver: "tidy" } },
      { id: "use", driver: "work" },
    ],
    finally: [
      { id: "report", driver: "tidy", with: { ok: cel("success()"), used: cel("steps.use.status") } },
      { id: "last", driver: "tidy" },
    ],
  })

  test("runs after success, in its order, and what needs a step waits for what it ensures", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "tidy")
    drivers.automatic.add("work").add("tidy")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline })
    expect(await ended(store, runId)).toMatchObject({ status: "succeeded" })
    expect(drivers.history).toEqual(["start#1", "stop#1", "use#1", "report#1", "last#1"])
  })

  test("runs after a failure and knows of it; its own failure does not hide the first", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "tidy")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline })
    ;(await drivers.nextAttempt("start")).succeed()
    ;(await drivers.nextAttempt("stop")).succeed()
    ;(await drivers.nextAttempt("use")).fail("broken")
    const report = await drivers.nextAttempt("report")
    expect(report.attempt.input).toEqual({ ok: false, used: "failed" })
    report.fail("no mail")
    ;(await drivers.nextAttempt("last")).succeed()
    expect(await ended(store, runId)).toMatchObject({
      status: "failed",
      message: 'step "use" failed: broken; cleanup step "report" failed: no mail',
    })
  })

  test("that fails makes a run failed that had succeeded", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "tidy")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline })
    ;(await drivers.nextAttempt("stop")).fail("it hangs")
    const report = await drivers.nextAttempt("report")
    expect(report.attempt.input).toMatchObject({ ok: false })
    report.succeed()
    ;(await drivers.nextAttempt("last")).succeed()
    expect(await ended(store, runId)).toMatchObject({
      status: "failed",
      message: 'cleanup step "stop" failed: it hangs',
    })
  })

  test("runs after a cancel, and on another host after a crash", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "tidy")
    const first = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline })
    await drivers.nextAttempt("start")
    await cancelRun(store, runId)
    await drivers.nextAttempt("stop")
    await first[Symbol.asyncDispose]()
    await using _second = await startEngine(store, drivers)
    const stop = await drivers.nextAttempt("stop")
    expect(stop.attempt.attempt).toBe(2)
    stop.succeed()
    ;(await drivers.nextAttempt("report")).succeed()
    ;(await drivers.nextAttempt("last")).succeed()
    expect(await statuses(store, runId)).toEqual({
      start: "cancelled",
      use: "skipped",
      stop: "succeeded",
      report: "succeeded",
      last: "succeeded",
    })
    expect((await ended(store, runId)).status).toBe("cancelled")
  })
})

describe("deferred work", () => {
  test("is done at the end whatever happened, the last first, on the code of when it was asked for", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work").add("drop", { hash: "old" })
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      steps: [{ id: "make", driver: "work" }],
      finally: [{ id: "tell", driver: "work" }],
    })
    const runId = await submit(store, { pipeline })
    const make = await drivers.nextAttempt("make")
    await make.attempt.defer("drop", { table: "one" })
    await make.attempt.defer("drop", { table: "two" })
    await make.attempt.defer("drop", { table: "two" })
    drivers.add("drop", { hash: "new" })
    make.fail("broken")
    ;(await drivers.nextAttempt("tell")).succeed()
    const second = await drivers.nextAttempt()
    expect(second.attempt).toMatchObject({ driver: { hash: "old" }, input: { table: "two" } })
    second.fail("still in use")
    const first = await drivers.nextAttempt()
    expect(first.attempt).toMatchObject({ driver: { hash: "old" }, input: { table: "one" } })
    first.succeed()
    const run = await ended(store, runId)
    expect(run.message).toBe(
      'step "make" failed: broken; cleanup step "make.deferred-2" failed: still in use',
    )
    expect(run.steps.map(({ id, role }) => [id, role])).toEqual([
      ["make", undefined],
      ["tell", "finally"],
      ["make.deferred-2", "deferred"],
      ["make.deferred", "deferred"],
    ])
  })

  test("for a driver nobody has is refused, with the nearest one", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "cleanup")
    await using _engine = await startEngine(store, drivers)
    await submit(store, { pipeline: pipelineOf({ steps: [{ driver: "work" }] }) })
    const { attempt } = await drivers.nextAttempt()
    await expect(attempt.defer("clenup", {})).rejects.toThrow(
      'This host has no driver "clenup" to defer to (did you mean "cleanup"?)',
    )
  })

  test.each(["STORE_UNAVAILABLE", "STORE_CORRUPT"] as const)(
    "is written down when the store is back that did not take it: %s",
    async (fault) => {
      await using real = await openSqlite(":memory:")
      const store = new FaultyStore(real)
      const drivers = new ScriptedDrivers("work")
      await using _engine = await startEngine(store, drivers)
      const runId = await submit(real, { pipeline: pipelineOf({ steps: [{ driver: "work" }] }) })
      const work = await drivers.nextAttempt()
      store.refused = { prefix: prefixes.runHeaders, with: fault }
      const deferring = work.attempt.defer("work", {})
      await until("it was refused", () => store.refusals > 0)
      store.refused = undefined
      await deferring
      work.succeed()
      ;(await drivers.nextAttempt("work.deferred")).succeed()
      expect((await ended(real, runId)).status).toBe("succeeded")
    },
  )

  test("of an attempt that is over is refused", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: pipelineOf({ steps: [{ driver: "work" }] }) })
    const work = await drivers.nextAttempt()
    work.succeed()
    await ended(store, runId)
    await expect(work.attempt.defer("work", {})).rejects.toThrow("The attempt is over")
  })
})

describe("an outcome", () => {
  test("that is not worth repeating is not repeated", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({ steps: [{ id: "a", driver: "work", retry: { attempts: 5, backoff: 0 } }] })
    const runId = await submit(store, { pipeline })
    ;(await drivers.nextAttempt()).fail("try again")
    ;(await drivers.nextAttempt()).failForGood("no such user")
    expect(await ended(store, runId)).toMatchObject({
      status: "failed",
      message: 'step "a" failed: no such user',
    })
    expect(drivers.history).toEqual(["a#1", "a#2"])
  })

  test("that retry does not name is not repeated", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      steps: [{ id: "a", driver: "work", retry: { attempts: 5, backoff: 0, on: ["timeout"] } }],
    })
    const runId = await submit(store, { pipeline })
    ;(await drivers.nextAttempt()).fail("no")
    expect((await ended(store, runId)).status).toBe("failed")
    expect(drivers.history).toEqual(["a#1"])
  })

  test("of a run whose time is over is a failure, after its cleanup", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "tidy")
    drivers.automatic.add("tidy")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      timeout: cel("resource.spec.limit"),
      steps: [
        { id: "a", driver: "work" },
        { id: "b", driver: "work", if: "always()" },
      ],
      finally: [{ id: "z", driver: "tidy" }],
    })
    const runId = await submit(store, { pipeline, spec: { limit: "50ms" } })
    expect(await ended(store, runId)).toMatchObject({
      status: "failed",
      message: "the run timed out after 50ms",
    })
    expect(await statuses(store, runId)).toEqual({ a: "cancelled", b: "skipped", z: "succeeded" })
  })

  test("of a step that nobody comes for is a failure when its queue timeout is over", async () => {
    await using store = await openSqlite(":memory:")
    await using _engine = await startEngine(store, new ScriptedDrivers())
    const pipeline = pipelineOf({ steps: [{ id: "a", driver: "nobody", queueTimeout: 50 }] })
    const run = await ended(store, await submit(store, { pipeline }))
    expect(run.message).toBe('step "a" failed: waiting for driver "nobody": none came within 50ms')
  })
})

describe("a run's own values", () => {
  test("are evaluated once when it starts, and kept", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers, { env: { REGION: "north" } })
    const pipeline = pipelineOf({
      metadata: { image: `shop:${cel("resource.spec.tag")}`, region: cel("env.REGION") },
      env: { TAG: cel("resource.spec.tag"), FULL: cel("metadata.image") },
      steps: [{ driver: "work", env: { IMAGE: `${cel("metadata.image")}-${cel("env.TAG")}` } }],
    })
    await submit(store, { pipeline, spec: { tag: 7 } })
    const { attempt } = await drivers.nextAttempt()
    expect(attempt.metadata).toEqual({ image: "shop:7", region: "north" })
    expect(attempt.env).toEqual({ TAG: "7", FULL: "shop:7", IMAGE: "shop:7-7" })
  })

  test("without a value fail the run before anything starts", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      metadata: { image: cel("resource.spec.tag") },
      steps: [{ driver: "work" }],
    })
    const run = await ended(store, await submit(store, { pipeline }))
    expect(run.status).toBe("failed")
    expect(run.message).toContain("in /image of the pipeline's metadata")
    expect(drivers.history).toEqual([])
  })
})

describe("maxParallel", () => {
  test("bounds the steps of a run that run at the same time, on all hosts together", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _first = await startEngine(store, drivers)
    await using _second = await startEngine(store, drivers)
    const ids = ["a", "b", "c", "d", "e", "f"]
    const pipeline = pipelineOf({
      maxParallel: 2,
      steps: ids.map((id) => ({ id, driver: "work", needs: [] })),
    })
    const runId = await submit(store, { pipeline })
    for (let done = 0; done < ids.length; done++) {
      const attempt = await drivers.nextAttempt()
      const { steps } = await view(store, runId)
      expect(steps.filter(({ status }) => status === "running").length).toBeLessThanOrEqual(2)
      attempt.succeed()
    }
    expect((await ended(store, runId)).status).toBe("succeeded")
  })
})
