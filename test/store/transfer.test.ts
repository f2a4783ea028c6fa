import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { MovedEntry } from "../../src/store/digest.ts"
import { moveKey } from "../../src/store/keys.ts"
import { refuseLiveHosts, refuseUnfinishedMove, takeSnapshot } from "../../src/store/snapshot.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { commitBytesMax, type Store } from "../../src/store/store.ts"
import { fillStore } from "../../src/store/transfer.ts"
import { put, rejection, write } from "./watching.ts"

const options = { now: () => "2026-01-01T00:00:00.000Z" }

const emptyStore = () => openSqlite(":memory:")

async function storeWith(...entries: readonly MovedEntry[]): Promise<Store> {
  const store = await emptyStore()
  for (const { key, value } of entries) await write(store, put(key, value))
  return store
}

async function contentOf(store: Store): Promise<MovedEntry[]> {
  return (await store.list("")).entries.map(({ key, value }) => ({ key, value }))
}

async function* entriesThen(
  entries: readonly MovedEntry[],
  then: () => void | Promise<void>,
): AsyncGenerator<MovedEntry> {
  yield* entries
  await then()
}

const moved = async (from: Store, to: Store) =>
  await fillStore(to, (await takeSnapshot(from)).entries(), options)

describe("a move into an empty store", () => {
  test("keeps every key and value as it is", async () => {
    const text = fc.string({ unit: "binary", minLength: 1, maxLength: 20 })
    const values = fc.dictionary(text, fc.string({ unit: "binary", maxLength: 50 }), { maxKeys: 30 })
    await fc.assert(
      fc.asyncProperty(values, async (content) => {
        const entries = Object.entries(content).map(([key, value]) => ({ key, value }))
        await using from = await storeWith(...entries)
        await using to = await emptyStore()
        expect(await moved(from, to)).toMatchObject({ entries: entries.length })
        expect(await contentOf(to)).toEqual(await contentOf(from))
      }),
      { numRuns: 50 },
    )
  })

  test("keeps more entries than a page, and the greatest there may be", async () => {
    await using from = await emptyStore()
    for (let i = 0; i < 10; i++)
      await write(from, ...Array.from({ length: 100 }, (_, n) => put(`k/${i}/${n}`, `${n}`)))
    await write(from, put("large", "ü".repeat((commitBytesMax - "large".length - 1) / 2)))
    await using to = await emptyStore()
    expect(await moved(from, to)).toMatchObject({ entries: 1_001 })
    expect(await contentOf(to)).toEqual(await contentOf(from))
  })

  test("leaves hosts and claims behind: they are those of processes elsewhere", async () => {
    await using from = await storeWith({ key: "a", value: "1" })
    const lease = await from.grant(60_000)
    await from.commit([], [{ type: "put", key: "hosts/one", value: "{}", lease }])
    await using to = await emptyStore()
    await moved(from, to)
    expect(await contentOf(to)).toEqual([{ key: "a", value: "1" }])
  })

  test("is of one moment: an embedded store that is written to meanwhile is not copied", async () => {
    const entries = Array.from({ length: 300 }, (_, i) => ({ key: `k/${1_000 + i}`, value: "" }))
    await using from = await storeWith(...entries)
    const snapshot = await takeSnapshot(from)
    await write(from, put("late", ""))
    await using to = await emptyStore()
    await rejection("COMPACTED", fillStore(to, snapshot.entries(), options))
  })
})

describe("a move into a store that is not empty", () => {
  test("is refused, says how much is there, and changes nothing", async () => {
    await using from = await storeWith({ key: "a", value: "1" })
    await using to = await storeWith({ key: "b", value: "2" }, { key: "c", value: "3" })
    const error = await rejection("CONFLICT", moved(from, to))
    expect(error.message).toContain("2 keys")
    expect(await contentOf(to)).toEqual([
      { key: "b", value: "2" },
      { key: "c", value: "3" },
    ])
  })
})

describe("a move that was interrupted", () => {
  const many = Array.from({ length: 300 }, (_, i) => ({ key: `k/${1_000 + i}`, value: "old" }))

  async function interrupted(): Promise<Store> {
    const store = await emptyStore()
    const source = entriesThen(many, () => {
      throw new Error("the power went out")
    })
    await expect(fillStore(store, source, options)).rejects.toThrow("the power went out")
    expect((await store.list("k/")).entries.length).toBeGreaterThan(0)
    return store
  }

  test("leaves a store that no host starts on, and that is not moved on", async () => {
    await using store = await interrupted()
    await rejection("STORE_CORRUPT", refuseUnfinishedMove(store))
    await rejection("STORE_CORRUPT", takeSnapshot(store))
  })

  test("is made good by the next one, which leaves nothing of it", async () => {
    await using from = await storeWith({ key: "k/1000", value: "new" }, { key: "z", value: "new" })
    await using to = await interrupted()
    await moved(from, to)
    expect(await contentOf(to)).toEqual(await contentOf(from))
    await refuseUnfinishedMove(to)
  })
})

describe("a move into a store that others write to", () => {
  const entry = { key: "a", value: "1" }

  test("is not finished when something else is there at the end", async () => {
    await using to = await emptyStore()
    const source = entriesThen([entry], async () => void (await write(to, put("b", "2"))))
    await rejection("CONFLICT", fillStore(to, source, options))
    await rejection("STORE_CORRUPT", refuseUnfinishedMove(to))
  })

  test("is not finished when a host has started on it", async () => {
    await using to = await emptyStore()
    const source = entriesThen([entry], async () => {
      const lease = await to.grant(60_000)
      const value = JSON.stringify({ hostId: "early" })
      await to.commit([], [{ type: "put", key: "hosts/early", value, lease }])
    })
    const error = await rejection("DATA_IN_USE", fillStore(to, source, options))
    expect(error.message).toContain("early")
    await rejection("DATA_IN_USE", refuseLiveHosts(to))
  })

  test("ends when another move has taken its place", async () => {
    await using to = await emptyStore()
    const source = entriesThen([entry], async () => void (await write(to, put(moveKey, "{}"))))
    await rejection("CONFLICT", fillStore(to, source, options))
    expect((await to.get(moveKey))?.value).toBe("{}")
  })
})
