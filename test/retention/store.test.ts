import { describe, expect, test } from "bun:test"
import {
  driverBundleKey,
  driverBundlePartKey,
  hostKey,
  idempotencyKey,
  pipelineKey,
  prefixes,
} from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import {
  dayMs,
  left,
  leftRuns,
  nowMs,
  put,
  putRevision,
  putRun,
  putVersions,
  retentionOf,
} from "./records.ts"

describe("ended runs", () => {
  test("go with all their records when they are older than is kept", async () => {
    await using store = await openSqlite(":memory:")
    const old = await putRun(store, { endedDaysAgo: 31 })
    const young = await putRun(store, { endedDaysAgo: 29 })
    await using retention = retentionOf(store, { limits: { keepRunsForMs: 30 * dayMs } })
    expect((await retention.pass()).runs).toBe(1)
    expect(await leftRuns(store)).toEqual([young])
    expect((await left(store, prefixes.runs)).filter((key) => key.includes(old))).toEqual([])
    expect((await left(store, prefixes.runs)).filter((key) => key.includes(young))).toHaveLength(3)
  })

  test("go, the oldest first, when there are more than are kept", async () => {
    await using store = await openSqlite(":memory:")
    const runs: string[] = []
    for (let n = 0; n < 250; n++) runs.push(await putRun(store, { endedDaysAgo: 1 }))
    await using retention = retentionOf(store, { limits: { keepRunsMax: 40 } })
    expect((await retention.pass()).runs).toBe(210)
    expect(await leftRuns(store)).toEqual(runs.slice(-40))
    expect(await left(store, "runs/step/")).toHaveLength(80)
  })

  test("go also when they have more steps than a commit holds", async () => {
    await using store = await openSqlite(":memory:")
    await putRun(store, { endedDaysAgo: 31, steps: 330 })
    await using retention = retentionOf(store, { limits: { keepRunsForMs: dayMs } })
    expect((await retention.pass()).runs).toBe(1)
    expect(await left(store, prefixes.runs)).toEqual([])
  })
})

test("a run that has not ended is never touched, however many are kept", async () => {
  await using store = await openSqlite(":memory:")
  const going = await putRun(store)
  await putRun(store, { endedDaysAgo: 1 })
  const before = (await store.list(prefixes.runs)).entries.filter(({ key }) => key.includes(going))
  await using retention = retentionOf(store, {
    limits: { keepRunsForMs: 0, keepRunsMax: 0, keepWorkspacesForMs: 0 },
  })
  await retention.pass()
  expect((await store.list(prefixes.runs)).entries).toEqual(before)
})

describe("versions of resources", () => {
  test("beyond the newest ones go, except those that a kept run refers to", async () => {
    await using store = await openSqlite(":memory:")
    await putVersions(store, "shop", { versions: 10 })
    await putVersions(store, "shop-2", { versions: 3 })
    await putRun(store, { endedDaysAgo: 1, resource: { type: "app", name: "shop", version: 2 } })
    await putRun(store, { endedDaysAgo: 50, resource: { type: "app", name: "shop", version: 3 } })
    await using retention = retentionOf(store, { limits: { keepVersionsMax: 4, keepRunsForMs: 30 * dayMs } })
    expect((await retention.pass()).versions).toBe(4)
    const versionsOf = async (name: string) =>
      (await left(store, `resource-versions/app/${name}/`)).map(Number)
    expect(await versionsOf("shop")).toEqual([2, 6, 7, 8, 9])
    expect(await versionsOf("shop-2")).toEqual([1, 2])
    expect(await left(store, prefixes.resources)).toEqual(["app/shop", "app/shop-2"])
  })

  test("never go to the last one, from which a resource that was deleted counts on", async () => {
    await using store = await openSqlite(":memory:")
    await putVersions(store, "shop", { versions: 5, deleted: true })
    await using retention = retentionOf(store, { limits: { keepVersionsMax: 1 } })
    await retention.pass()
    expect(
      (await left(store, prefixes.resourceVersions)).map((key) => Number(key.split("/").at(-1))),
    ).toEqual([5])
  })
})

describe("pipeline revisions and driver bundles", () => {
  test("stay while a pipeline, a live host or a kept run refers to them, and go some time after", async () => {
    await using store = await openSqlite(":memory:")
    for (const hash of ["used", "pinned", "old"]) await putRevision(store, hash)
    for (const hash of ["served", "pinned", "deferred", "old"]) {
      await put(store, driverBundleKey(hash), { hash, parts: 2, createdAt: "" })
      for (const part of [0, 1]) await put(store, driverBundlePartKey(hash, part), "code")
    }
    await put(store, pipelineKey("release"), { pipeline: {}, hash: "used" })
    await put(store, hostKey("here"), { hostId: "here", drivers: [{ name: "shell", hash: "served" }] })
    await putRun(store, { endedDaysAgo: 1, pipelineHash: "pinned", drivers: { shell: "pinned" } })
    await putRun(store, { endedDaysAgo: 1, deferredTo: "deferred" })
    await putRun(store, { endedDaysAgo: 50, pipelineHash: "old", drivers: { shell: "old" } })

    let monotonicMs = 0
    await using retention = retentionOf(store, {
      limits: { keepRunsForMs: 30 * dayMs },
      unreferencedForMs: 600_000,
      now: () => ({ wallMs: nowMs, monotonicMs }),
    })
    expect(await retention.pass()).toMatchObject({ runs: 1, unreferenced: 0 })
    monotonicMs = 599_000
    expect((await retention.pass()).unreferenced).toBe(0)
    monotonicMs = 601_000
    expect((await retention.pass()).unreferenced).toBe(2)
    expect(await left(store, prefixes.pipelineRevisions)).toEqual(["pinned", "used"])
    expect(await left(store, prefixes.driverBundles)).toEqual(["deferred", "pinned", "served"])
    expect(await left(store, `${prefixes.driverBundleParts}old/`)).toEqual([])
    expect(await left(store, `${prefixes.driverBundleParts}served/`)).toHaveLength(2)
  })

  test("written anew are looked at anew", async () => {
    await using store = await openSqlite(":memory:")
    await putRevision(store, "again")
    let monotonicMs = 0
    await using retention = retentionOf(store, {
      unreferencedForMs: 600_000,
      now: () => ({ wallMs: nowMs, monotonicMs }),
    })
    await retention.pass()
    await putRevision(store, "again")
    monotonicMs = 700_000
    await retention.pass()
    expect(await left(store, prefixes.pipelineRevisions)).toEqual(["again"])
    monotonicMs = 1_400_000
    await retention.pass()
    expect(await left(store, prefixes.pipelineRevisions)).toEqual([])
  })
})

test("parts of a driver bundle that was never finished go some time after", async () => {
  await using store = await openSqlite(":memory:")
  for (const hash of ["a-whole", "b-torn", "c-begun", "d-whole"]) {
    for (const part of [0, 1, 2]) await put(store, driverBundlePartKey(hash, part), "code")
  }
  for (const hash of ["a-whole", "d-whole"]) {
    await put(store, driverBundleKey(hash), { hash, parts: 3, createdAt: "" })
    await put(store, hostKey(hash), { hostId: hash, drivers: [{ name: "shell", hash }] })
  }
  let monotonicMs = 0
  await using retention = retentionOf(store, {
    unreferencedForMs: 600_000,
    now: () => ({ wallMs: nowMs, monotonicMs }),
  })
  expect((await retention.pass()).unreferenced).toBe(0)
  monotonicMs = 601_000
  // Somebody has begun to write this one, and is not done at the second look.
  await put(store, driverBundlePartKey("c-begun", 0), "code")
  expect((await retention.pass()).unreferenced).toBe(1)
  const hashes = (await left(store, prefixes.driverBundleParts)).map((key) => key.split("/")[0])
  expect(hashes).toEqual(["a-whole", "c-begun", "d-whole"].flatMap((hash) => [hash, hash, hash]))
})

test("idempotency keys go when they are forgotten", async () => {
  await using store = await openSqlite(":memory:")
  const record = (hoursAgo: number) => ({
    response: { runid: "", message: "" },
    bodyHash: "",
    createdAt: new Date(nowMs - hoursAgo * 3_600_000).toISOString(),
  })
  await put(store, idempotencyKey("fresh"), record(23))
  await put(store, idempotencyKey("stale"), record(25))
  await using retention = retentionOf(store)
  expect((await retention.pass()).idempotencyKeys).toBe(1)
  expect(await left(store, prefixes.idempotency)).toEqual(["fresh"])
})
