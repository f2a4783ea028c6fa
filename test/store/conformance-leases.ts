import { expect } from "bun:test"
import type { Lease, Write } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"
import type { StoreTest } from "./conformance.ts"
import { changes, put, wordOf, write } from "./watching.ts"

function leased(key: string, value: string, lease: Lease): Write {
  return { type: "put", key, value, lease }
}

export function leasesConform(storeTest: StoreTest): void {
  storeTest(
    "entries go with their lease when it expires, and a watch sees them go",
    async (store, { ttlMs }) => {
      const lease = await store.grant(ttlMs)
      expect(lease.ttlMs).toBe(ttlMs)
      const since = await write(store, leased("a", "1", lease), leased("b", "1", lease), put("stays", ""))
      expect((await store.get("a"))?.lease).toBe(lease.id)
      const gone = await changes(store, { since, count: 2 })
      expect(gone.map(wordOf).toSorted()).toEqual(["-a", "-b"])
      expect((await store.list("")).entries.map(({ key }) => key)).toEqual(["stays"])
      expect(await store.keepAlive(lease)).toBe(false)
      expect(await store.commit([], [leased("a", "2", lease)])).toBeUndefined()
      await store.revoke(lease)
    },
  )

  storeTest("a lease that is kept alive holds its entries", async (store, { ttlMs }) => {
    const lease = await store.grant(ttlMs)
    const modRevision = await write(store, leased("a", "1", lease))
    const end = performance.now() + 2.5 * ttlMs
    await until("two and a half times its time has passed", async () => {
      expect(await store.keepAlive(lease)).toBe(true)
      return performance.now() > end
    })
    expect((await store.get("a"))?.modRevision).toBe(modRevision)
    await until("it expires at last", async () => (await store.get("a")) === undefined)
  })

  storeTest("a lease that is revoked ends at once, for good", async (store) => {
    const lease = await store.grant(60_000)
    const since = await write(store, leased("a", "1", lease), leased("b", "1", lease))
    await store.revoke(lease)
    expect((await store.list("")).entries).toEqual([])
    expect((await changes(store, { since, count: 2 })).map(wordOf).toSorted()).toEqual(["-a", "-b"])
    expect(await store.keepAlive(lease)).toBe(false)
    await store.revoke(lease)
  })

  storeTest("a write under a lease that has ended is a conflict and writes nothing", async (store) => {
    const [ended, live] = [await store.grant(60_000), await store.grant(60_000)]
    await store.revoke(ended)
    expect(await store.commit([], [put("a", "1"), leased("b", "1", ended)])).toBeUndefined()
    expect((await store.list("")).entries).toEqual([])
    expect(await store.commit([], [put("a", "1"), leased("b", "1", live)])).toBeGreaterThan(0)
  })

  storeTest("the last write decides which lease an entry goes with", async (store) => {
    const [first, second] = [await store.grant(60_000), await store.grant(60_000)]
    await write(store, leased("moves", "1", first), leased("frees", "1", first), leased("stays", "1", first))
    await write(store, leased("moves", "2", second), put("frees", "2"))
    await store.revoke(first)
    const { entries } = await store.list("")
    expect(entries.map(({ key, lease }) => [key, lease])).toEqual([
      ["frees", undefined],
      ["moves", second.id],
    ])
  })
}
