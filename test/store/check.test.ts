import { describe, expect, test } from "bun:test"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { Run } from "../../src/model/run.ts"
import { checkStore } from "../../src/store/check.ts"
import {
  activeRunKey,
  claimKey,
  concurrencyKey,
  driverBundleKey,
  driverBundlePartKey,
  hostFileKey,
  hostKey,
  hostLeaseKey,
  moveKey,
  pipelineKey,
  pipelineRevisionKey,
  resourceKey,
  resourceVersionKey,
  runKey,
  stepKey,
} from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { ended, hashOf, pipelineOf, startEngine, submit } from "../rig/belt.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { put, remove, write } from "./watching.ts"

const pipeline = pipelineOf({ steps: [{ id: "build", driver: "x" }] })
const hash = hashOf(pipeline)

/** A store with one run that has ended and one that has not, and everything they refer to. */
async function storeInOrder() {
  const store = await openSqlite(":memory:")
  await write(store, put(pipelineKey("release"), JSON.stringify(recordOf(pipeline))))
  const runId = await submit(store, { pipeline })
  const over = await submit(store, { pipeline })
  await changeRun(store, over, { status: "succeeded" })
  await write(store, remove(activeRunKey(over)))
  await write(store, put(stepKey(runId, "build"), JSON.stringify({ status: "running", attempt: 1 })))
  return { store, runId, over, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

const recordOf = (pipeline: Pipeline) => ({ pipeline, hash: hashOf(pipeline) })

async function changeRun(store: Store, runId: string, fields: object): Promise<void> {
  const entry = await store.get(runKey(runId))
  const run = JSON.parse(entry?.value ?? "") as Run
  await write(store, put(runKey(runId), JSON.stringify({ ...run, ...fields })))
}

const faultsOf = async (store: Store) =>
  (await checkStore(store)).faults.map(({ key, message }) => `${key}: ${message}`)

describe("a check", () => {
  test("finds nothing wrong in an empty store", async () => {
    await using store = await openSqlite(":memory:")
    expect(await checkStore(store)).toEqual({ entries: 0, runs: 0, faults: [], data: [] })
  })

  test("finds nothing wrong in a store in order, and counts what is there", async () => {
    await using rig = await storeInOrder()
    expect(await checkStore(rig.store)).toEqual({ entries: 8, runs: 2, faults: [], data: [] })
  })

  test("finds nothing wrong in what an engine has written", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("x")
    const runIds = [await submit(store, { pipeline }), await submit(store)]
    await using _ = await startEngine(store, drivers)
    const first = await drivers.nextAttempt("build")
    expect(await faultsOf(store)).toEqual([])
    first.succeed()
    for (const runId of runIds) await ended(store, runId)
    expect(await faultsOf(store)).toEqual([])
  })

  test("passes over what a later version has written", async () => {
    await using rig = await storeInOrder()
    await write(rig.store, put("runs/artifact/1", "?"), put("unheard-of/1", "?"))
    expect(await faultsOf(rig.store)).toEqual([])
  })

  test("changes nothing", async () => {
    await using rig = await storeInOrder()
    const before = await rig.store.list("")
    await checkStore(rig.store)
    expect(await rig.store.list("")).toEqual(before)
  })
})

describe("a check names", () => {
  test("records that cannot be read", async () => {
    await using rig = await storeInOrder()
    const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`
    await write(rig.store, put("definitions/a", "{"), put("definitions/b", "[]"), put("definitions/c", deep))
    await write(rig.store, put(runKey("r"), '{"runId":"r","status":"lost"}'))
    const faults = await faultsOf(rig.store)
    for (const name of ["a", "b", "c"])
      expect(faults).toContain(`definitions/${name}: it is not a JSON object`)
    expect(faults.filter((fault) => fault.startsWith("runs/header/r: /status: "))).toHaveLength(1)
    expect(faults.filter((fault) => fault.startsWith("runs/header/r: /resource: "))).toHaveLength(1)
  })

  test("records that are not what their key says", async () => {
    await using rig = await storeInOrder()
    const resource = JSON.stringify({ name: "web", resource: "app", version: 1 })
    const record = JSON.stringify(recordOf(pipeline))
    await write(rig.store, put(resourceKey("app", "other"), resource), put(pipelineKey("other"), record))
    await write(rig.store, put(resourceVersionKey("app", "web", 7), resource))
    expect(await faultsOf(rig.store)).toEqual([
      'pipelines/other: it is the pipeline "release"',
      "resource-versions/app/web/0000000007: it is version 1",
      'resources/app/other: it is the app "web"',
    ])
  })

  test("pipelines whose content does not have their hash", async () => {
    await using rig = await storeInOrder()
    const changed = { ...pipeline, metadata: { changed: true } }
    await write(rig.store, put(pipelineKey("release"), JSON.stringify({ pipeline: changed, hash })))
    await write(rig.store, put(pipelineRevisionKey(hash), JSON.stringify(changed)))
    expect(await faultsOf(rig.store)).toEqual([
      `pipeline-revisions/${hash}: its content does not have the hash it stands under`,
      "pipelines/release: its hash is not that of its content",
    ])
  })

  test("what refers to a pipeline revision that is not there", async () => {
    await using rig = await storeInOrder()
    await write(rig.store, remove(pipelineRevisionKey(hash)))
    const message = `the pipeline revision ${hash} is not there`
    expect((await faultsOf(rig.store)).toSorted()).toEqual(
      ["pipelines/release", runKey(rig.runId), runKey(rig.over)]
        .map((key) => `${key}: ${message}`)
        .toSorted(),
    )
  })

  test("data of another run that the run does not say it needs, and references that are none", async () => {
    await using rig = await storeInOrder()
    const ref = { bytes: 70_000, sha256: "0".repeat(64), runId: rig.over, folder: "f", hostId: "h" }
    const give = (dataRef: object) => {
      const state = { status: "succeeded", attempt: 1, result: { success: true, message: "", dataRef } }
      return write(rig.store, put(stepKey(rig.runId, "build"), JSON.stringify(state)))
    }
    await give(ref)
    const key = stepKey(rig.runId, "build")
    expect(await faultsOf(rig.store)).toEqual([
      `${key}: its data is a file of run ${rig.over}, which the run does not name in dataFrom`,
    ])
    await changeRun(rig.store, rig.runId, { dataFrom: [rig.over] })
    expect(await checkStore(rig.store)).toMatchObject({ faults: [], data: [{ key, ref }] })
    await give({ ...ref, sha256: `../${"0".repeat(61)}` })
    expect(await faultsOf(rig.store)).toEqual([expect.stringContaining(`${key}: /result/dataRef/sha256: `)])
  })

  test("runs whose version of the resource is not there, and versions above the newest", async () => {
    await using rig = await storeInOrder()
    await changeRun(rig.store, rig.over, { resource: { type: "app", name: "gone", version: 2 } })
    const versions = [1, 3].map((version) => JSON.stringify({ name: "web", resource: "app", version }))
    await write(rig.store, put(resourceKey("app", "web"), versions[0] ?? ""))
    await write(rig.store, put(resourceVersionKey("app", "web", 3), versions[1] ?? ""))
    expect(await faultsOf(rig.store)).toEqual([
      "resource-versions/app/web/0000000003: the newest version is 1, which is lower",
      `${runKey(rig.over)}: the resource version app/gone/2 is not there`,
    ])
  })

  test("marks that are missing, of a run that has ended, and of no run", async () => {
    await using rig = await storeInOrder()
    const { runId, over } = rig
    await write(
      rig.store,
      remove(activeRunKey(runId)),
      put(activeRunKey(over), ""),
      put(activeRunKey("x"), ""),
    )
    expect(await faultsOf(rig.store)).toEqual([
      `${runKey(runId)}: it has not ended, and is not marked as active`,
      `${activeRunKey(over)}: the run has ended`,
      `${activeRunKey("x")}: there is no such run`,
    ])
  })

  test("steps that are not in the pipeline, and those of no run", async () => {
    await using rig = await storeInOrder()
    const step = JSON.stringify({ status: "running", attempt: 1 })
    await write(rig.store, put(stepKey(rig.runId, "biuld"), step), put(stepKey("x", "build"), step))
    expect(await faultsOf(rig.store)).toEqual([
      `${stepKey(rig.runId, "biuld")}: the pipeline of the run has no step "biuld"`,
      `${stepKey("x", "build")}: there is no such run`,
    ])
  })

  test("no deferred step, and none of a pipeline from before the run was mended", async () => {
    await using rig = await storeInOrder()
    const header = JSON.parse((await rig.store.get(runKey(rig.runId)))?.value ?? "{}")
    const step = JSON.stringify({ status: "succeeded", attempt: 1 })
    const deferred = [{ id: "build.deferred" }]
    await write(rig.store, put(stepKey(rig.runId, "build.deferred"), step))
    await write(rig.store, put(runKey(rig.runId), JSON.stringify({ ...header, deferred })))
    expect(await faultsOf(rig.store)).toEqual([])
    await write(rig.store, put(stepKey(rig.runId, "gone"), step))
    await write(rig.store, put(runKey(rig.runId), JSON.stringify({ ...header, deferred, mended: 1 })))
    expect(await faultsOf(rig.store)).toEqual([])
  })

  test("concurrency keys that runs hold which are over, or are not there", async () => {
    await using rig = await storeInOrder()
    const key = concurrencyKey("production")
    const since = "2026-01-01T00:00:00.000Z"
    const places = { holders: [{ runId: rig.over, since }], queue: [{ runId: "x", since, priority: 0 }] }
    await write(rig.store, put(key, JSON.stringify({ key: "production", ...places })))
    expect(await faultsOf(rig.store)).toEqual([
      `${key}: the run ${rig.over} has ended`,
      `${key}: there is no run x`,
    ])
  })

  test("hosts, what they publish and claims without a lease, which would never go", async () => {
    await using rig = await storeInOrder()
    const lease = await rig.store.grant(60_000)
    const claim = JSON.stringify({ hostId: "h", attempt: 1 })
    const host = { type: "put", key: hostKey("h"), value: '{"hostId":"h"}' } as const
    const fence = { type: "put", key: hostLeaseKey("h"), value: "" } as const
    const file = { type: "put", key: hostFileKey("h", "deep/a.yaml"), value: '{"hostId":"h"}' } as const
    const held = { type: "put", key: claimKey(rig.runId, "build"), value: claim } as const
    await rig.store.commit(
      [],
      [
        { ...host, lease },
        { ...fence, lease },
        { ...file, lease },
        { ...held, lease },
      ],
    )
    expect(await faultsOf(rig.store)).toEqual([])
    await rig.store.commit([], [host, fence, file, held])
    expect(await faultsOf(rig.store)).toEqual(
      [file.key, fence.key, host.key, held.key].map(
        (key) => `${key}: it has no lease, so it outlives its host`,
      ),
    )
  })

  test("driver bundles with parts missing", async () => {
    await using rig = await storeInOrder()
    await write(rig.store, put(driverBundlePartKey("f00", 0), "x"))
    await write(rig.store, put(driverBundleKey("f00"), JSON.stringify({ hash: "f00", parts: 2 })))
    expect(await faultsOf(rig.store)).toEqual([`${driverBundleKey("f00")}: 1 of its 2 parts are there`])
  })

  test("a move that has not finished", async () => {
    await using store = await openSqlite(":memory:")
    await write(store, put(moveKey, "{}"))
    expect(await faultsOf(store)).toEqual([
      `${moveKey}: a move into this store has not finished: it holds only a part`,
    ])
  })
})
