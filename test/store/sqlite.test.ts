import { Database } from "bun:sqlite"
import { expect, spyOn, test } from "bun:test"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { openStore } from "../../src/store/open.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { openDatabase } from "../../src/store/sqlite-file.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { changes, put, rejection, remove, wordOf, write } from "./watching.ts"

const sqliteModule = new URL("../../src/store/sqlite.ts", import.meta.url).href

/** A process of its own that opens `file`, says so, and does `then`. */
function otherProcess(file: string, then: string) {
  const script = `
    const { openSqlite } = await import(${JSON.stringify(sqliteModule)})
    const store = await openSqlite(${JSON.stringify(file)}).catch((error) => {
      console.log(error.code + ": " + error.message)
      process.exit(3)
    })
    ${then}`
  return Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" })
}

test("a second process is refused, by the name of the file", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "store.db")
  await using store = await openSqlite(file)
  await write(store, put("a", "1"))
  const other = otherProcess(file, "process.exit(0)")
  expect(await new Response(other.stdout).text()).toBe(`DATA_IN_USE: Another process uses ${file}\n`)
  expect(await other.exited).toBe(3)
  expect((await store.get("a"))?.value).toBe("1")
})

test("what was acknowledged outlives a process that is killed, and its leases do not", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "store.db")
  const other = otherProcess(
    file,
    `const lease = await store.grant(600_000)
     for (let n = 1; ; n++) {
       await store.commit([], [
         { type: "put", key: "n", value: String(n) },
         { type: "put", key: "claim", value: "", lease },
       ])
       console.log(n)
     }`,
  )
  let acknowledged = 0
  for await (const chunk of other.stdout) {
    const whole = new TextDecoder().decode(chunk).split("\n").slice(0, -1)
    acknowledged = Number(whole.at(-1) ?? acknowledged)
    if (acknowledged > 200) break
  }
  other.kill("SIGKILL")
  await other.exited

  await using store = await openSqlite(file)
  const { revision, entries } = await store.list("")
  expect(entries.map(({ key }) => key)).toEqual(["n"])
  expect(Number(entries[0]?.value)).toBeGreaterThanOrEqual(acknowledged)
  // The claim's delete is a revision of its own, which a reader of the old process's last one gets to see.
  expect((await changes(store, { since: revision - 1, count: 1 })).map(wordOf)).toEqual(["-claim"])
  await rejection("COMPACTED", changes(store, { since: revision - 2, count: 1 }))
})

test("a commit in a file is synced to the disk before it is answered", async () => {
  await using folder = await tempFolder()
  using db = openDatabase(join(folder.path, "store.db"), {})
  expect(db.query("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" })
  const full = 2
  expect(db.query("PRAGMA synchronous").get()).toEqual({ synchronous: full })
})

test("commits of one turn see each other, and those that conflict change nothing", async () => {
  await using store = await openSqlite(":memory:")
  const since = (await store.list("")).revision
  const answers = await Promise.all([
    store.commit([{ key: "a", modRevision: 0 }], [put("a", "1")]),
    store.commit([{ key: "a", modRevision: 0 }], [put("a", "2"), put("b", "2")]),
    store.commit([{ key: "a", modRevision: since + 1 }], [put("a", "3")]),
    store.commit([{ key: "a", modRevision: since + 1 }], [put("a", "4")]),
    store.commit([], [remove("a")]),
    store.commit([{ key: "a", modRevision: 0 }], [put("a", "5")]),
  ])
  expect(answers).toEqual([since + 1, undefined, since + 2, undefined, since + 3, since + 4])
  expect((await changes(store, { since, count: 4 })).map(wordOf)).toEqual(["a=1", "a=3", "-a", "a=5"])
  expect(await store.get("b")).toBeUndefined()
})

test("a group that finds the disk full is rejected as a whole, and the store goes on", async () => {
  await using folder = await tempFolder()
  await using store = await openSqlite(join(folder.path, "store.db"), { pagesMax: 300 })
  const revision = await write(store, put("a", "1"), put("large", "x".repeat(600_000)))
  const seen = changes(store, { since: revision, count: 2 })
  const group = [
    store.commit([], [put("a", "2")]),
    store.commit([], [put("too much", "x".repeat(900_000))]),
    store.commit([], [put("b", "1")]),
  ]
  for (const commit of group) await rejection("STORE_UNAVAILABLE", commit)
  expect((await store.list("")).revision).toBe(revision)
  expect((await store.get("a"))?.value).toBe("1")
  expect(await store.get("b")).toBeUndefined()

  expect(await write(store, remove("large"))).toBe(revision + 1)
  expect(await write(store, put("fits", "now"))).toBe(revision + 2)
  expect((await seen).map(wordOf)).toEqual(["-large", "fits=now"])
})

test("a file of another format is refused and left as it is", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "store.db")
  await (await openSqlite(file))[Symbol.asyncDispose]()
  using db = new Database(file)
  db.run("PRAGMA journal_mode = DELETE")
  db.run("UPDATE meta SET format = 99")
  db.close()
  const before = await readFile(file)
  const error = await rejection("STORE_CORRUPT", openSqlite(file))
  expect(error.message).toContain("format 99")
  expect(await readFile(file)).toEqual(before)
})

test("a database of something else, and a file that is none, are refused", async () => {
  await using folder = await tempFolder()
  const other = join(folder.path, "other.db")
  using db = new Database(other, { create: true })
  db.run("CREATE TABLE cats (name TEXT)")
  db.close()
  await rejection("STORE_CORRUPT", openSqlite(other))
  const text = join(folder.path, "text.db")
  await Bun.write(text, "This is no database. ".repeat(100))
  await rejection("STORE_CORRUPT", openSqlite(text))
})

test("a file that was refused can be opened once it is free", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "store.db")
  const first = await openSqlite(file)
  await rejection("DATA_IN_USE", openSqlite(file))
  await first[Symbol.asyncDispose]()
  await using second = await openSqlite(file)
  expect(await write(second, put("a", "1"))).toBe(1)
})

test("a commit that waits when the store closes is kept", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "store.db")
  const store = await openSqlite(file)
  const commit = store.commit([], [put("a", "1")])
  await store[Symbol.asyncDispose]()
  expect(await commit).toBe(1)
  await using again = await openSqlite(file)
  expect((await again.get("a"))?.value).toBe("1")
})

test("a slow watch costs no memory and throws COMPACTED when the history has passed it", async () => {
  await using store = await openSqlite(":memory:", { historyBytesMax: 10_000 })
  const watch = store.watch("", 0, new AbortController().signal)[Symbol.asyncIterator]()
  await write(store, put("a", "1"))
  expect((await watch.next()).value?.map(wordOf)).toEqual(["a=1"])
  for (let i = 0; i < 20; i++) await write(store, put("b", "x".repeat(1_000)))
  await rejection("COMPACTED", watch.next())
})

test("leases end by the clock that was given, also before their timer fires", async () => {
  let now = 0
  await using store = await openSqlite(":memory:", { now: () => now })
  const lease = await store.grant(600_000)
  await store.commit([], [{ type: "put", key: "a", value: "1", lease }])
  now = 599_999
  expect(await store.keepAlive(lease)).toBe(true)
  now += 600_000
  expect(await store.keepAlive(lease)).toBe(false)
  expect(await store.commit([], [{ type: "put", key: "a", value: "2", lease }])).toBeUndefined()
})

test("the entries of a lease that ended on a full disk go as soon as the disk takes it", async () => {
  await using folder = await tempFolder()
  await using store = await openSqlite(join(folder.path, "store.db"), { pagesMax: 100 })
  const lease = await store.grant(600_000)
  const since = await write(store, { type: "put", key: "a", value: "1", lease })
  const tooMuch = store.commit([], [put("too much", "x".repeat(900_000))])
  const revoked = store.revoke(lease)
  await rejection("STORE_UNAVAILABLE", tooMuch)
  await rejection("STORE_UNAVAILABLE", revoked)
  expect((await store.get("a"))?.value).toBe("1")
  expect((await changes(store, { since, count: 1 })).map(wordOf)).toEqual(["-a"])
})

test("a lease that is given back again and again on a full disk is one thing to be tried again", async () => {
  await using folder = await tempFolder()
  await using store = await openSqlite(join(folder.path, "store.db"), { pagesMax: 100 })
  const lease = await store.grant(600_000)
  const timers = spyOn(globalThis, "setTimeout")
  for (let n = 0; n < 3; n++) {
    const tooMuch = store.commit([], [put("too much", "x".repeat(900_000))])
    const revoked = store.revoke(lease)
    await rejection("STORE_UNAVAILABLE", tooMuch)
    await rejection("STORE_UNAVAILABLE", revoked)
  }
  expect(timers.mock.calls.filter(([, ms]) => ms === 1_000)).toHaveLength(1)
  timers.mockRestore()
})

test("openStore makes the folder of its file", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "new", "folder", "store.db")
  await using store = await openStore({ type: "sqlite", file })
  expect(await write(store, put("a", "1"))).toBe(1)
  await using memory = await openStore({ type: "memory" })
  expect((await memory.list("")).entries).toEqual([])
})
