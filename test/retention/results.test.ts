import { expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import type { DataRef } from "../../src/model/driver.ts"
import { ResultFiles } from "../../src/results/result-files.ts"
import { runKey, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { dayMs, put, putRun, retentionOf } from "./records.ts"

/** A store, and a data folder with the large data of results. */
async function resultsRig() {
  const parts = new AsyncDisposableStack()
  const { path } = parts.use(await tempFolder())
  const store = parts.use(await openSqlite(":memory:"))
  const results = new ResultFiles({ path: join(path, "results"), folder: "f", hostId: "h" })
  return {
    store,
    results,
    data: path,
    /** The runs that have files, and how many each has. */
    async left(): Promise<Record<string, number>> {
      const runIds = await readdir(join(path, "results"))
      const counts = runIds.map(
        async (id) => [id, (await readdir(join(path, "results", id))).length] as const,
      )
      return Object.fromEntries(await Promise.all(counts))
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

/** Writes the step of a run down as succeeded, with this data. */
const refer = (store: Store, runId: string, dataRef: DataRef) =>
  put(store, stepKey(runId, "s0"), { status: "succeeded", result: { success: true, message: "", dataRef } })

const limits = { keepRunsForMs: 30 * dayMs }

test("the data of a run goes with it", async () => {
  await using rig = await resultsRig()
  const gone = await putRun(rig.store, { endedDaysAgo: 40 })
  const kept = await putRun(rig.store, { endedDaysAgo: 20 })
  for (const runId of [gone, kept])
    await refer(rig.store, runId, await rig.results.write(runId, JSON.stringify(runId)))
  await using retention = retentionOf(rig.store, { data: rig.data, limits })
  expect(await retention.pass()).toMatchObject({ runs: 1, files: 1 })
  expect(await rig.left()).toEqual({ [kept]: 1 })
})

test("the data of a run that is gone stays while a later run refers to it, and then goes", async () => {
  await using rig = await resultsRig()
  const gone = await putRun(rig.store, { endedDaysAgo: 40 })
  const ref = await rig.results.write(gone, "[1]")
  await refer(rig.store, gone, ref)
  const rerun = await putRun(rig.store, { endedDaysAgo: 1, dataFrom: [gone] })
  await refer(rig.store, rerun, ref)
  await using retention = retentionOf(rig.store, { data: rig.data, limits })
  for (let pass = 0; pass < 2; pass++) {
    await retention.pass()
    expect(await rig.left()).toEqual({ [gone]: 1 })
  }
  expect(await rig.store.get(runKey(gone))).toBeUndefined()
  await rig.store.commit([], [{ type: "delete", key: runKey(rerun) }])
  expect((await retention.pass()).files).toBe(1)
  expect(await rig.left()).toEqual({})
})

test("data that no result refers to goes when its run has ended, and not before", async () => {
  await using rig = await resultsRig()
  const runId = await putRun(rig.store)
  const ref = await rig.results.write(runId, "[1]")
  await rig.results.write(runId, "[2]")
  // A write that was cut off.
  await Bun.write(join(rig.data, "results", runId, `.${ref.sha256}.json.0.new`), "[")
  await using retention = retentionOf(rig.store, { data: rig.data, limits })
  await retention.pass()
  expect(await rig.left()).toEqual({ [runId]: 3 })
  await refer(rig.store, runId, ref)
  const run = JSON.parse((await rig.store.get(runKey(runId)))?.value ?? "")
  await put(rig.store, runKey(runId), { ...run, status: "succeeded", message: "", finishedAt: run.createdAt })
  expect((await retention.pass()).files).toBe(2)
  expect(await rig.left()).toEqual({ [runId]: 1 })
  expect(new TextDecoder().decode(await rig.results.read(ref))).toBe("[1]")
})

test("data that a later run refers to stays also while the records of its run are deleted one by one", async () => {
  await using rig = await resultsRig()
  const going = await putRun(rig.store, { endedDaysAgo: 1 })
  const ref = await rig.results.write(going, "[1]")
  const rerun = await putRun(rig.store, { dataFrom: [going] })
  await refer(rig.store, rerun, ref)
  // Another host collects the store: the steps of a long run go before its header does.
  await rig.store.commit([], [{ type: "delete", key: stepKey(going, "s0") }])
  await using retention = retentionOf(rig.store, { data: rig.data, limits })
  await retention.pass()
  expect(await rig.left()).toEqual({ [going]: 1 })
})
