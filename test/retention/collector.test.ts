import { describe, expect, test } from "bun:test"
import { ConveyorError } from "../../src/errors.ts"
import { collectorKey, prefixes } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"
import { left, leftRuns, putRun, putVersions, retentionOf } from "./records.ts"

const nothing = { runs: 0, versions: 0, unreferenced: 0, idempotencyKeys: 0, files: 0 }

/** What a process sees of a store that makes that many commits and then dies. */
function dyingAfter(commits: number, store: Store): Store {
  let leftOver = commits
  const check = () => {
    if (leftOver < 0) throw new ConveyorError("STORE_UNAVAILABLE", "the process is dead")
  }
  const alive = async <T>(ask: () => Promise<T>) => {
    check()
    return await ask()
  }
  return {
    get: (key) => alive(() => store.get(key)),
    list: (prefix, options) => alive(() => store.list(prefix, options)),
    commit: async (guards, writes) => {
      leftOver--
      return await alive(() => store.commit(guards, writes))
    },
    watch: (prefix, since, signal) => store.watch(prefix, since, signal),
    grant: (ttlMs) => alive(() => store.grant(ttlMs)),
    keepAlive: (lease) => alive(() => store.keepAlive(lease)),
    revoke: (lease) => alive(() => store.revoke(lease)),
    [Symbol.asyncDispose]: async () => {},
  }
}

/** As when the lease of a dead collector ends. */
const endLease = (store: Store) => store.commit([], [{ type: "delete", key: collectorKey }])

describe("two hosts on one store", () => {
  test("do not both collect it", async () => {
    await using store = await openSqlite(":memory:")
    for (let n = 0; n < 100; n++) await putRun(store, { endedDaysAgo: 1 })
    await using one = retentionOf(store, { limits: { keepRunsMax: 10 } })
    await using other = retentionOf(store, { limits: { keepRunsMax: 10 } })
    const collected = await Promise.all([one.pass(), other.pass()])
    expect(collected.map(({ runs }) => runs).sort()).toEqual([0, 90])
    expect(await leftRuns(store)).toHaveLength(10)
  })

  test("take turns when the one that collects stops", async () => {
    await using store = await openSqlite(":memory:")
    await using other = retentionOf(store, { limits: { keepRunsMax: 0 } })
    {
      await using one = retentionOf(store, { hostId: "one", limits: { keepRunsMax: 0 } })
      await one.pass()
      expect((await store.get(collectorKey))?.value).toBe("one")
      await putRun(store, { endedDaysAgo: 1 })
      expect(await other.pass()).toEqual(nothing)
    }
    expect(await other.pass()).toEqual({ ...nothing, runs: 1 })
  })

  test("cannot delete at the same time: one that lost its lease and does not know it deletes nothing", async () => {
    await using store = await openSqlite(":memory:")
    await using one = retentionOf(store, { limits: { keepRunsMax: 0, keepVersionsMax: 1 } })
    await one.pass()
    await endLease(store)
    await store.commit([], [{ type: "put", key: collectorKey, value: "other" }])
    const run = await putRun(store, { endedDaysAgo: 1 })
    await putVersions(store, "shop", { versions: 5 })
    expect(await one.pass()).toEqual(nothing)
    expect(await leftRuns(store)).toEqual([run])
    expect(await left(store, prefixes.resourceVersions)).toHaveLength(4)
  })
})

describe("a collector that dies", () => {
  test("after any of its commits leaves a store that the next one brings to the same end", async () => {
    const fill = async (store: Store) => {
      for (const steps of [1, 120, 3]) await putRun(store, { endedDaysAgo: 1, steps })
      const kept = await putRun(store, { endedDaysAgo: 1 })
      const going = await putRun(store)
      await putVersions(store, "shop", { versions: 70 })
      return [kept, going]
    }
    const limits = { keepRunsMax: 1, keepVersionsMax: 2 }
    let died = 0
    for (let commits = 0; ; commits++) {
      await using store = await openSqlite(":memory:")
      const expected = await fill(store)
      await using doomed = retentionOf(dyingAfter(commits, store), { limits })
      const survived = await doomed.pass().then(
        () => true,
        () => false,
      )
      await endLease(store)
      await using next = retentionOf(store, { limits })
      await next.pass()
      expect(await leftRuns(store)).toEqual(expected)
      expect(await left(store, "runs/step/")).toHaveLength(4)
      expect(await left(store, "runs/claim/")).toHaveLength(1)
      expect(await left(store, prefixes.activeRuns)).toHaveLength(1)
      expect(await left(store, prefixes.resourceVersions)).toHaveLength(2)
      if (survived) break
      died++
    }
    expect(died).toBeGreaterThan(5)
  })
})

test("a collector that is started makes pass after pass, and goes on when some broke off, which it says once", async () => {
  await using store = await openSqlite(":memory:")
  let away = true
  let refused = 0
  const errors: unknown[] = []
  const flaky: Store = {
    ...dyingAfter(1_000_000, store),
    list: async (prefix, options) => {
      if (away) {
        refused++
        throw new ConveyorError("STORE_UNAVAILABLE", "the store does not answer")
      }
      return await store.list(prefix, options)
    },
  }
  await using retention = retentionOf(flaky, {
    limits: { keepRunsMax: 0 },
    firstAfterMs: 1,
    intervalMs: 5,
    log: { info: () => {}, warn: () => {}, error: (thrown: unknown) => errors.push(thrown) },
  })
  retention.start()
  await until("passes broke off", () => refused >= 3)
  expect(errors).toHaveLength(1)
  away = false
  for (let n = 0; n < 2; n++) {
    await putRun(store, { endedDaysAgo: 1 })
    await until("the run is collected", async () => (await leftRuns(store)).length === 0)
  }
})

test("a collector that is stopped in the middle of a pass ends it and leaves nothing half", async () => {
  await using store = await openSqlite(":memory:")
  for (let n = 0; n < 300; n++) await putRun(store, { endedDaysAgo: 1 })
  const retention = retentionOf(store, { limits: { keepRunsMax: 0 } })
  const pass = retention.pass().catch((error: unknown) => error)
  await until("some runs are gone", async () => (await leftRuns(store)).length < 300)
  await retention[Symbol.asyncDispose]()
  expect(await pass).toBeInstanceOf(Error)
  expect(await store.get(collectorKey)).toBeUndefined()
  const runs = await leftRuns(store)
  expect(runs.length).toBeGreaterThan(0)
  expect(await left(store, "runs/step/")).toHaveLength(2 * runs.length)
})
