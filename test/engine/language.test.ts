import { describe, expect, test } from "bun:test"
import { prefixes, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { cancelRun, ended, pipelineOf, save, startEngine, stepIn, submit, view } from "../rig/belt.ts"
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
    expect(attempt.defer("clenup", {})).rejects.toThrow(
      'This host has no driver "clenup" to defer to (did you mean "cleanup"?)',
    )
  })

  test("of an attempt that is over is refused", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: pipelineOf({ steps: [{ driver: "work" }] }) })
    const work = await drivers.nextAttempt()
    work.succeed()
    await ended(store, runId)
    expect(work.attempt.defer("work", {})).rejects.toThrow("The attempt is over")
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

describe("a held run", () => {
  const broken = pipelineOf({
    hold: 600_000,
    steps: [
      { id: "clone", driver: "work" },
      { id: "build", driver: "make", ensure: { id: "tidy", driver: "work" } },
      { id: "ship", driver: "work" },
    ],
    finally: [{ id: "report", driver: "work" }],
  })
  const heldAt = (store: Store, runId: string) =>
    until("the run is held", async () => (await view(store, runId)).message.startsWith("held since"))

  test("goes on at the failed step when its pipeline is mended, and counts its attempts on", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    await save(store, broken)
    const runId = await submit(store, { pipeline: broken })
    ;(await drivers.nextAttempt("build")).fail("a typo")
    await heldAt(store, runId)
    await save(store, pipelineOf({ ...mended(), hold: 600_000 }))
    const again = await drivers.nextAttempt("build")
    expect(again.attempt).toMatchObject({ attempt: 2, input: { target: "all" } })
    again.succeed()
    expect(await ended(store, runId)).toMatchObject({ status: "succeeded" })
    expect(drivers.history).toEqual([
      "clone#1",
      "build#1",
      "tidy#1",
      "build#2",
      "tidy#2",
      "ship#1",
      "report#1",
    ])
  })

  test("goes on with the new code when the driver of the failed step is mended", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    await save(store, broken)
    const runId = await submit(store, { pipeline: broken })
    ;(await drivers.nextAttempt("build")).fail("a bug")
    await heldAt(store, runId)
    drivers.add("make", { hash: "mended" })
    const again = await drivers.nextAttempt("build")
    expect(again.attempt.driver.hash).toBe("mended")
    again.succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
  })

  test("asks the mended condition of a step that failed, whose attempts are not forgotten then", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    await save(store, broken)
    const runId = await submit(store, { pipeline: broken })
    ;(await drivers.nextAttempt("build")).fail("a typo")
    await heldAt(store, runId)
    const conditional = mended().steps.map((step) =>
      step.id === "build" ? { ...step, if: "resource.name == 'other'" } : step,
    )
    await save(store, pipelineOf({ steps: conditional }))
    const { status, steps } = await ended(store, runId)
    expect([status, ...steps.map((step) => step.status)]).toEqual([
      "succeeded",
      "succeeded",
      "skipped",
      "skipped",
      "skipped",
    ])
    const record = await store.get(stepKey(runId, "build"))
    expect(JSON.parse(record?.value ?? "{}")).toMatchObject({ status: "skipped", attempt: 1 })
  })

  test("asks how an attempt ended that its failure cut off, in a step that must not be done twice", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    await using _engine = await startEngine(store, drivers)
    const steps = [
      { id: "test", driver: "make", needs: [] },
      { id: "deploy", driver: "work", needs: [], effects: "once" as const },
    ]
    const pipeline = pipelineOf({ hold: 600_000, steps })
    await save(store, pipeline)
    const runId = await submit(store, { pipeline })
    const deploy = await drivers.nextAttempt("deploy")
    ;(await drivers.nextAttempt("test")).fail("a bug")
    await heldAt(store, runId)
    drivers.add("make", { hash: "mended" })
    ;(await drivers.nextAttempt("test")).succeed()
    const key = stepKey(runId, "deploy")
    const asking = await until("somebody is asked", async () => {
      const entry = await store.get(key)
      return entry?.value.includes('"resolution"') ? entry : undefined
    })
    const state = { ...JSON.parse(asking.value), resolution: { outcome: "retry" } }
    await store.commit([], [{ type: "put", key, value: JSON.stringify(state) }])
    const again = await drivers.nextAttempt("deploy")
    expect(again.attempt).toMatchObject({ attempt: 2, token: deploy.attempt.token })
    again.succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
  })

  test("does not go on along an earlier pipeline, of which its host has older news", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("make")
    await using _engine = await startEngine(store, drivers)
    const version = (target: string) =>
      pipelineOf({ hold: 600_000, steps: [{ id: "build", driver: "make", with: { target } }] })
    await save(store, version("first"))
    await ended(store, await submit(store, { type: "nobody" }))
    store.holdWatches(prefixes.pipelines)
    await save(store, version("second"))
    const runId = await submit(store, { pipeline: version("second") })
    ;(await drivers.nextAttempt("build")).fail("a typo")
    await heldAt(store, runId)
    await save(store, version("third"))
    store.releaseWatches()
    const again = await drivers.nextAttempt("build")
    expect(again.attempt).toMatchObject({ attempt: 2, input: { target: "third" } })
    again.succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
  })

  test("with more to do again than one commit takes goes on whole, with the ensure steps of it all", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    const many = Array.from({ length: 60 }, (_, index) => `s${index}`)
    const pipeline = pipelineOf({
      hold: 600_000,
      failFast: false,
      steps: many.map((id) => ({
        id,
        driver: "make",
        needs: [],
        ensure: { id: `tidy-${id}`, driver: "work" },
      })),
    })
    await save(store, pipeline)
    const runId = await submit(store, { pipeline })
    for (const id of many) (await drivers.nextAttempt(id)).fail("a bug")
    await heldAt(store, runId)
    drivers.add("make", { hash: "mended" })
    for (const id of many) (await drivers.nextAttempt(id)).succeed()
    expect((await ended(store, runId)).status).toBe("succeeded")
    const tidied = drivers.history.filter((attempt) => attempt.startsWith("tidy-") && attempt.endsWith("#2"))
    expect(tidied).toHaveLength(many.length)
  })

  test("that fails again ends, though a step it was to do again has not had its turn", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    await using _engine = await startEngine(store, drivers)
    const steps = [
      { id: "left", driver: "work", needs: [] },
      { id: "right", driver: "make", needs: [] },
    ]
    const slow = pipelineOf({ hold: 600_000, failFast: false, maxParallel: 1, steps })
    await save(store, slow)
    const runId = await submit(store, { pipeline: slow })
    ;(await drivers.nextAttempt("left")).fail("a typo")
    ;(await drivers.nextAttempt("right")).fail("a typo")
    await heldAt(store, runId)
    await save(store, pipelineOf({ maxParallel: 1, steps }))
    ;(await drivers.nextAttempt("left")).fail("a typo again")
    const ending = await ended(store, runId)
    expect([ending.status, ...ending.steps.map((step) => step.status)]).toEqual([
      "failed",
      "failed",
      "skipped",
    ])
  })

  test("has its time anew when it goes on: what it waited for somebody does not count", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    const timeout = 1_000
    const pipeline = pipelineOf({ ...mended(), hold: 600_000, timeout, description: "broken" })
    await save(store, pipeline)
    const runId = await submit(store, { pipeline })
    ;(await drivers.nextAttempt("build")).fail("a typo")
    await heldAt(store, runId)
    const startedAt = Date.parse((await view(store, runId)).startedAt ?? "")
    await until("its time would be over", () => Date.now() > startedAt + timeout)
    await save(store, pipelineOf({ ...mended(), hold: 600_000, timeout }))
    ;(await drivers.nextAttempt("build")).succeed()
    expect(await ended(store, runId)).toMatchObject({ status: "succeeded" })
  })

  test("fails when nobody mends it in time, and cleans up then", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = { ...broken, holdMs: 50 }
    await save(store, pipeline)
    const runId = await submit(store, { pipeline })
    ;(await drivers.nextAttempt("build")).fail("a bug")
    expect(await ended(store, runId)).toMatchObject({
      status: "failed",
      message: 'step "build" failed: a bug',
    })
    expect(drivers.history.at(-1)).toBe("report#1")
  })

  test("can be cancelled", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work", "make")
    drivers.automatic.add("work")
    await using _engine = await startEngine(store, drivers)
    await save(store, broken)
    const runId = await submit(store, { pipeline: broken })
    ;(await drivers.nextAttempt("build")).fail("a bug")
    await heldAt(store, runId)
    await cancelRun(store, runId)
    expect((await ended(store, runId)).status).toBe("cancelled")
    expect(drivers.history.at(-1)).toBe("report#1")
  })

  function mended() {
    return {
      steps: [
        { id: "clone", driver: "work" },
        { id: "build", driver: "make", with: { target: "all" }, ensure: { id: "tidy", driver: "work" } },
        { id: "ship", driver: "work" },
      ],
      finally: [{ id: "report", driver: "work" }],
    }
  }
})
