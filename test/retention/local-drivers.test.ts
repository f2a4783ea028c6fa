import { expect, test } from "bun:test"
import { join } from "node:path"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { dayMs, nowMs, putRun, retentionOf } from "./records.ts"

const graceMs = 600_000

/** A retention of a host that keeps these hashes and serves none of them. */
function keeping(hashes: readonly string[], { store, data }: { store: Store; data: string }) {
  const kept = new Set(hashes)
  const clock = { monotonicMs: 0 }
  const retention = retentionOf(store, {
    data,
    drivers: { unserved: async () => [...kept], forget: async (hash) => kept.delete(hash) },
    limits: { keepRunsForMs: 30 * dayMs },
    unreferencedForMs: graceMs,
    now: () => ({ wallMs: nowMs, monotonicMs: clock.monotonicMs }),
  })
  return { kept, clock, retention }
}

test("code in the data folder goes some time after the last run that is pinned to it", async () => {
  await using folder = await tempFolder()
  await using store = await openSqlite(":memory:")
  await putRun(store, { endedDaysAgo: 1, drivers: { shell: "pinned" } })
  await putRun(store, { deferredTo: "deferred" })
  await putRun(store, { endedDaysAgo: 50, drivers: { shell: "old" } })
  const { kept, clock, retention } = keeping(["pinned", "deferred", "old", "never"], {
    store,
    data: folder.path,
  })
  await using _ = retention
  expect(await retention.pass()).toMatchObject({ runs: 1, files: 0 })
  clock.monotonicMs = graceMs - 1
  expect((await retention.pass()).files).toBe(0)
  clock.monotonicMs = graceMs
  expect((await retention.pass()).files).toBe(2)
  expect([...kept]).toEqual(["pinned", "deferred"])
})

test("code in a data folder that another store was used with first stays", async () => {
  await using folder = await tempFolder()
  await using first = await openSqlite(":memory:")
  await using before = keeping(["before"], { store: first, data: folder.path }).retention
  await before.pass()
  await using store = await openSqlite(":memory:")
  const { kept, clock, retention } = keeping(["code"], { store, data: folder.path })
  await using _ = retention
  await retention.pass()
  clock.monotonicMs = 2 * graceMs
  await retention.pass()
  expect([...kept]).toEqual(["code"])
})

test("code in a data folder whose store could not be written down is looked after all the same", async () => {
  await using folder = await tempFolder()
  await using store = await openSqlite(":memory:")
  await Bun.write(join(folder.path, "store-id"), "")
  const { kept, clock, retention } = keeping(["never"], { store, data: folder.path })
  await using _ = retention
  await retention.pass()
  clock.monotonicMs = graceMs
  await retention.pass()
  expect([...kept]).toEqual([])
})
