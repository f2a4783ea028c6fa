import { expect, test } from "bun:test"
import type { Pipeline } from "../../src/model/pipeline.ts"
import { prefixes, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { cancelRun, ended, pipelineOf, save, startEngine, submit, view } from "../rig/belt.ts"
import { FaultyStore } from "../rig/faulty-store.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { until } from "../rig/until.ts"

/* Runs that are about to fail, and wait for their pipeline or a driver to be mended. */

const hold = 600_000
const steps = [
  { id: "clone", driver: "work" },
  { id: "build", driver: "make", ensure: { id: "tidy", driver: "work" } },
  { id: "ship", driver: "work" },
]
const last = { finally: [{ id: "report", driver: "work" }] }
const broken = pipelineOf({ hold, steps, ...last })
const mended = {
  steps: steps.map((step) => (step.id === "build" ? { ...step, with: { target: "all" } } : step)),
  ...last,
}

interface Started extends AsyncDisposable {
  readonly store: Store
  readonly drivers: ScriptedDrivers
  readonly runId: string
}

/** A run on an engine of its own. Steps of the driver "work" succeed by themselves, or not. */
async function startRun(pipeline: Pipeline, { automatic = true } = {}): Promise<Started> {
  await using scope = new AsyncDisposableStack()
  const store = scope.use(await openSqlite(":memory:"))
  const drivers = new ScriptedDrivers("work", "make")
  if (automatic) drivers.automatic.add("work")
  scope.use(await startEngine(store, drivers))
  await save(store, pipeline)
  const runId = await submit(store, { pipeline })
  const parts = scope.move()
  return { store, drivers, runId, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}

/** The same, once it is held since these steps of it have failed. */
async function heldRun(
  pipeline: Pipeline,
  {
    failing = ["build"],
    ...options
  }: { readonly failing?: readonly string[]; readonly automatic?: boolean } = {},
): Promise<Started> {
  const started = await startRun(pipeline, options)
  for (const stepId of failing) (await started.drivers.nextAttempt(stepId)).fail("a bug")
  await isHeld(started.store, started.runId)
  return started
}

const isHeld = (store: Store, runId: string) =>
  until("the run is held", async () => (await view(store, runId)).message.startsWith("held since"))

const statuses = async (store: Store, runId: string) => {
  const run = await ended(store, runId)
  return [run.status, ...run.steps.map(({ status }) => status)]
}

test("a held run goes on at the failed step when its pipeline is mended, and counts its attempts on", async () => {
  await using held = await heldRun(broken)
  const { store, drivers, runId } = held
  await save(store, pipelineOf({ hold, ...mended }))
  const again = await drivers.nextAttempt("build")
  expect(again.attempt).toMatchObject({ attempt: 2, input: { target: "all" } })
  again.succeed()
  expect(await ended(store, runId)).toMatchObject({ status: "succeeded" })
  expect(drivers.history).toEqual(["clone#1", "build#1", "tidy#1", "build#2", "tidy#2", "ship#1", "report#1"])
})

test("a held run goes on with the new code when the driver of the failed step is mended", async () => {
  await using held = await heldRun(broken)
  const { store, drivers, runId } = held
  drivers.add("make", { hash: "mended" })
  const again = await drivers.nextAttempt("build")
  expect(again.attempt.driver.hash).toBe("mended")
  again.succeed()
  expect((await ended(store, runId)).status).toBe("succeeded")
})

test("a held run asks the mended condition of a step that failed, whose attempts are not forgotten then", async () => {
  await using held = await heldRun(broken)
  const { store, runId } = held
  const conditional = mended.steps.map((step) =>
    step.id === "build" ? { ...step, if: "resource.name == 'other'" } : step,
  )
  await save(store, pipelineOf({ steps: conditional }))
  expect(await statuses(store, runId)).toEqual(["succeeded", "succeeded", "skipped", "skipped", "skipped"])
  const record = await store.get(stepKey(runId, "build"))
  expect(JSON.parse(record?.value ?? "{}")).toMatchObject({ status: "skipped", attempt: 1 })
})

test("a held run asks how an attempt ended that its failure cut off, in a step that must not be done twice", async () => {
  const fork = [
    { id: "deploy", driver: "work", needs: [], effects: "once" as const },
    { id: "test", driver: "make", needs: [] },
  ]
  await using held = await heldRun(pipelineOf({ hold, steps: fork }), { failing: ["test"], automatic: false })
  const { store, drivers, runId } = held
  const deploy = await drivers.nextAttempt("deploy")
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

test("a held run does not go on along an earlier pipeline, of which its host has older news", async () => {
  await using real = await openSqlite(":memory:")
  const store = new FaultyStore(real)
  const drivers = new ScriptedDrivers("make")
  await using _engine = await startEngine(store, drivers)
  const version = (target: string) =>
    pipelineOf({ hold, steps: [{ id: "build", driver: "make", with: { target } }] })
  await save(store, version("first"))
  await ended(store, await submit(store, { type: "nobody" }))
  store.holdWatches(prefixes.pipelines)
  await save(store, version("second"))
  const runId = await submit(store, { pipeline: version("second") })
  ;(await drivers.nextAttempt("build")).fail("a typo")
  await isHeld(store, runId)
  await save(store, version("third"))
  store.releaseWatches()
  const again = await drivers.nextAttempt("build")
  expect(again.attempt).toMatchObject({ attempt: 2, input: { target: "third" } })
  again.succeed()
  expect((await ended(store, runId)).status).toBe("succeeded")
})

test("a held run with more to do again than one commit takes goes on whole, with the ensure steps of it all", async () => {
  const many = Array.from({ length: 60 }, (_, index) => `s${index}`)
  const pipeline = pipelineOf({
    hold,
    failFast: false,
    steps: many.map((id) => ({
      id,
      driver: "make",
      needs: [],
      ensure: { id: `tidy-${id}`, driver: "work" },
    })),
  })
  await using held = await heldRun(pipeline, { failing: many })
  const { store, drivers, runId } = held
  drivers.add("make", { hash: "mended" })
  for (const id of many) (await drivers.nextAttempt(id)).succeed()
  expect((await ended(store, runId)).status).toBe("succeeded")
  const tidied = drivers.history.filter((attempt) => attempt.startsWith("tidy-") && attempt.endsWith("#2"))
  expect(tidied).toHaveLength(many.length)
})

test("a held run that fails again ends, though a step it was to do again has not had its turn", async () => {
  const pair = [
    { id: "left", driver: "work", needs: [] },
    { id: "right", driver: "make", needs: [] },
  ]
  const slow = pipelineOf({ hold, failFast: false, maxParallel: 1, steps: pair })
  await using held = await heldRun(slow, { failing: ["left", "right"], automatic: false })
  const { store, drivers, runId } = held
  await save(store, pipelineOf({ maxParallel: 1, steps: pair }))
  ;(await drivers.nextAttempt("left")).fail("a bug again")
  expect(await statuses(store, runId)).toEqual(["failed", "failed", "skipped"])
})

test("a held run has its time anew when it goes on: what it waited for somebody does not count", async () => {
  const timeout = 1_000
  await using held = await heldRun(pipelineOf({ hold, timeout, steps, ...last }))
  const { store, drivers, runId } = held
  const startedAt = Date.parse((await view(store, runId)).startedAt ?? "")
  await until("its time would be over", () => Date.now() > startedAt + timeout)
  await save(store, pipelineOf({ hold, timeout, ...mended }))
  ;(await drivers.nextAttempt("build")).succeed()
  expect(await ended(store, runId)).toMatchObject({ status: "succeeded" })
})

test("a held run fails when nobody mends it in time, and cleans up then", async () => {
  await using started = await startRun({ ...broken, holdMs: 50 })
  const { store, drivers, runId } = started
  ;(await drivers.nextAttempt("build")).fail("a bug")
  expect(await ended(store, runId)).toMatchObject({ status: "failed", message: 'step "build" failed: a bug' })
  expect(drivers.history.at(-1)).toBe("report#1")
})

test("a held run can be cancelled", async () => {
  await using held = await heldRun(broken)
  const { store, drivers, runId } = held
  await cancelRun(store, runId)
  expect((await ended(store, runId)).status).toBe("cancelled")
  expect(drivers.history.at(-1)).toBe("report#1")
})
