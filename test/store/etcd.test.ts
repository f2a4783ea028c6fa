import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { openEtcd } from "../../src/store/etcd.ts"
import { openStore } from "../../src/store/open.ts"
import type { Store } from "../../src/store/store.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { until } from "../rig/until.ts"
import { storeConforms } from "./conformance.ts"
import { changes, put, rejection, wordOf, write } from "./watching.ts"

describe("etcd", () => {
  let etcd: EtcdRig
  beforeAll(async () => {
    etcd = await startEtcd()
  }, 60_000)
  afterAll(() => etcd[Symbol.asyncDispose]())

  const start = async () => {
    const prefix = `${crypto.randomUUID()}/`
    return {
      open: () => openEtcd({ endpoints: [etcd.endpoint], prefix }),
      compact: async (store: Store) => etcd.compact((await store.list("")).revision),
      ttlMs: 2_000,
      [Symbol.asyncDispose]: async () => {},
    }
  }
  storeConforms(start, { keepsData: true })

  test("an etcd before 3.5 is said to be too old for production, and no other", async () => {
    const { etcdserver } = (await (await fetch(`${etcd.endpoint}/version`)).json()) as { etcdserver: string }
    const [major = 0, minor = 0] = etcdserver.split(".").map(Number)
    const warnings: string[] = []
    const config = { type: "etcd", endpoints: [etcd.endpoint], prefix: "warned/" } as const
    await using _ = await openStore(config, { onWarning: (warning) => warnings.push(warning) })
    const isOld = major === 3 && minor < 5
    expect(warnings).toEqual(isOld ? [`etcd ${etcdserver}: use 3.5 or newer in production`] : [])
  })

  test("two stores of one etcd see nothing of each other", async () => {
    await using one = await (await start()).open()
    await using other = await (await start()).open()
    await write(one, put("a", "1"))
    expect((await other.list("")).entries).toEqual([])
  })
})

describe("etcd that dies", () => {
  test("a live watch loses nothing when etcd is killed and started again", async () => {
    await using etcd = await startEtcd()
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "c/" })
    const ended = new AbortController()
    const seen: string[] = []
    const { revision } = await store.list("")
    const watching = (async () => {
      for await (const batch of store.watch("", revision, ended.signal)) seen.push(...batch.map(wordOf))
    })()
    const acknowledged: string[] = []
    let n = 0
    const writeOne = async () => {
      const value = `${n++}`
      await write(store, put("a", value))
      acknowledged.push(`a=${value}`)
      return true
    }
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 20; i++) await writeOne()
      await etcd.kill()
      await rejection("STORE_UNAVAILABLE", writeOne())
      await etcd.restart()
      await until("a commit is answered again", () => writeOne().catch(() => false))
    }
    await until("the watch has seen the last commit", () => seen.at(-1) === acknowledged.at(-1))
    ended.abort()
    await watching
    // A commit that was not acknowledged may have happened: it is seen then, and at most once.
    expect(seen.filter((word) => acknowledged.includes(word))).toEqual(acknowledged)
    expect(new Set(seen).size).toBe(seen.length)
  }, 60_000)

  test("a call to an etcd that hangs is given up, and a watch over the pause loses nothing", async () => {
    await using etcd = await startEtcd()
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "c/", callMsMax: 300 })
    const lease = await store.grant(60_000)
    const since = await write(store, put("a", "1"))
    const seen = changes(store, { since, count: 1 })
    await etcd.pause()
    await rejection("STORE_UNAVAILABLE", store.get("a"))
    await rejection("STORE_UNAVAILABLE", store.keepAlive(lease))
    etcd.resume()
    await until("a commit is answered again", () => write(store, put("a", "2")).catch(() => undefined))
    expect((await seen).map(wordOf)).toEqual(["a=2"])
    expect(await store.keepAlive(lease)).toBe(true)
  }, 60_000)

  test("a store cannot be opened where no etcd answers", async () => {
    const etcd = await startEtcd()
    await etcd[Symbol.asyncDispose]()
    await rejection("STORE_UNAVAILABLE", openEtcd({ endpoints: [etcd.endpoint], prefix: "c/" }))
  }, 30_000)

  test("a lease outlives a restart of etcd when it is kept alive", async () => {
    await using etcd = await startEtcd()
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "c/" })
    const lease = await store.grant(10_000)
    await store.commit([], [{ type: "put", key: "a", value: "1", lease }])
    await etcd.kill()
    await rejection("STORE_UNAVAILABLE", store.keepAlive(lease))
    await etcd.restart()
    expect(await until("a renewal is answered", () => store.keepAlive(lease).catch(() => undefined))).toBe(
      true,
    )
    expect((await store.get("a"))?.lease).toBe(lease.id)
  }, 60_000)
})
