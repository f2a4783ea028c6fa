import { expect, test } from "bun:test"
import { DriverBundles } from "../../src/engine/bundles.ts"
import { driverBundleKey, prefixes } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"

function driversWith(code: Record<string, string>): ScriptedDrivers & { adopted: Record<string, string> } {
  const drivers = Object.assign(new ScriptedDrivers(), { adopted: {} as Record<string, string> })
  drivers.bundleOf = async (hash) => code[hash]
  drivers.adopt = async (hash, text) => {
    drivers.adopted[hash] = text
  }
  return drivers
}

test("code larger than an entry crosses the store whole, characters outside the basic plane included", async () => {
  await using store = await openSqlite(":memory:")
  const text = "a😀".repeat(600_000)
  await new DriverBundles(store, driversWith({ h: text })).keep(["h"])
  const there = driversWith({})
  expect(await new DriverBundles(store, there).fetch("h")).toBe(true)
  expect(there.adopted["h"] === text).toBe(true)
})

test("code that is in the store is not written again", async () => {
  await using store = await openSqlite(":memory:")
  await new DriverBundles(store, driversWith({ h: "one" })).keep(["h"])
  const before = (await store.get(driverBundleKey("h")))?.modRevision
  await new DriverBundles(store, driversWith({ h: "one" })).keep(["h"])
  expect((await store.get(driverBundleKey("h")))?.modRevision).toBe(before as number)
})

test("code that many runs are pinned to at once is written once", async () => {
  await using store = await openSqlite(":memory:")
  const bundles = new DriverBundles(store, driversWith({ h: "x".repeat(1_000_000) }))
  await Promise.all(Array.from({ length: 50 }, () => bundles.keep(["h"])))
  const parts = await store.list(prefixes.driverBundleParts)
  const last = (await store.get(driverBundleKey("h")))?.modRevision ?? 0
  expect(parts.entries.map(({ modRevision }) => modRevision)).toEqual([last - 3, last - 2, last - 1])
  expect((await store.list("")).revision).toBe(last)
})

test("code that was collected while nobody served it is written again when it serves again", async () => {
  await using store = await openSqlite(":memory:")
  const bundles = new DriverBundles(store, driversWith({ h: "one" }))
  await bundles.keep(["h"])
  await store.commit([], [{ type: "delete", key: driverBundleKey("h") }])
  bundles.lookAgain()
  await bundles.keep(["h"])
  const there = driversWith({})
  await new DriverBundles(store, there).fetch("h")
  expect(there.adopted["h"]).toBe("one")
})

test("code that cannot be kept leaves nothing behind, and is missing until it is looked for again", async () => {
  await using store = await openSqlite(":memory:")
  const bundles = new DriverBundles(store, driversWith({}))
  await bundles.keep(["h"])
  expect((await store.list(prefixes.driverBundles)).entries).toEqual([])
  expect(bundles.mayHold("h")).toBe(true)
  await bundles.fetch("h")
  expect(bundles.mayHold("h")).toBe(false)
  bundles.lookAgain()
  expect(bundles.mayHold("h")).toBe(true)
})

test("code whose parts are not all there is not taken for the whole", async () => {
  await using store = await openSqlite(":memory:")
  await store.commit([], [{ type: "put", key: driverBundleKey("h"), value: '{"hash":"h","parts":2}' }])
  const there = driversWith({})
  await new DriverBundles(store, there).fetch("h")
  expect(there.adopted).toEqual({})
})
