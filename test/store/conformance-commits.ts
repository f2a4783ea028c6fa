import { expect } from "bun:test"
import fc from "fast-check"
import { commitBytesMax, operationsMax } from "../../src/store/store.ts"
import type { StoreTest } from "./conformance.ts"
import { put, rejection, remove, write } from "./watching.ts"

/** Well-formed text of any characters, those at the edges of UTF-8's and UTF-16's ranges above all. */
const character = fc.oneof(
  fc.constantFrom("\0", "/", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufeff", "\uffff"),
  fc.constantFrom("\u{10000}", "\u{10ffff}", "e\u0301", "é"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
)
const text = (minLength: number) =>
  fc.array(character, { minLength, maxLength: 8 }).map((all) => all.join(""))

export function commitsConform(storeTest: StoreTest, { keepsData }: { keepsData: boolean }): void {
  storeTest("a key that was never written is undefined", async (store) => {
    expect(await store.get("a")).toBeUndefined()
  })

  storeTest("an entry says when it was created and last written", async (store) => {
    const first = await write(store, put("a", "1"))
    const second = await write(store, put("a", "2"))
    expect(second).toBeGreaterThan(first)
    expect(await store.get("a")).toEqual({
      key: "a",
      value: "2",
      createRevision: first,
      modRevision: second,
    })
    await write(store, remove("a"))
    const third = await write(store, put("a", ""))
    expect(await store.get("a")).toEqual({ key: "a", value: "", createRevision: third, modRevision: third })
  })

  storeTest("a guard holds at exactly its revision", async (store) => {
    const created = await store.commit([{ key: "a", modRevision: 0 }], [put("a", "1")])
    expect(created).toBeGreaterThan(0)
    expect(await store.commit([{ key: "a", modRevision: 0 }], [put("a", "2")])).toBeUndefined()
    const updated = await store.commit([{ key: "a", modRevision: created ?? 0 }], [put("a", "3")])
    expect(updated).toBeGreaterThan(created ?? 0)
    expect(await store.commit([{ key: "a", modRevision: created ?? 0 }], [put("a", "4")])).toBeUndefined()
    await write(store, remove("a"))
    expect(await store.commit([{ key: "a", modRevision: updated ?? 0 }], [put("a", "5")])).toBeUndefined()
    expect(await store.commit([{ key: "a", modRevision: 0 }], [put("a", "6")])).toBeGreaterThan(0)
  })

  storeTest("a commit applies all of its writes as one revision, or none", async (store) => {
    await write(store, put("gone", "x"))
    const revision = await write(store, put("a", "1"), put("b", "2"), remove("gone"))
    expect((await store.get("a"))?.modRevision).toBe(revision)
    expect((await store.get("b"))?.modRevision).toBe(revision)
    expect(await store.get("gone")).toBeUndefined()

    const guards = [
      { key: "a", modRevision: revision },
      { key: "b", modRevision: 0 },
    ]
    expect(await store.commit(guards, [put("a", "3"), put("c", "4"), remove("b")])).toBeUndefined()
    expect((await store.get("a"))?.value).toBe("1")
    expect((await store.get("b"))?.value).toBe("2")
    expect(await store.get("c")).toBeUndefined()
  })

  storeTest("of many commits with the same guard exactly one applies", async (store) => {
    const guards = [{ key: "a", modRevision: 0 }]
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, i) => store.commit(guards, [put("a", `${i}`)])),
    )
    const won = all.flatMap((revision, i) => (revision === undefined ? [] : [i]))
    expect(won).toHaveLength(1)
    expect((await store.get("a"))?.value).toBe(`${won[0]}`)
  })

  storeTest("increments by concurrent writers are all counted", async (store) => {
    const increment = async (): Promise<void> => {
      for (;;) {
        const entry = await store.get("n")
        const value = String(Number(entry?.value ?? 0) + 1)
        const guards = [{ key: "n", modRevision: entry?.modRevision ?? 0 }]
        if ((await store.commit(guards, [put("n", value)])) !== undefined) return
      }
    }
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 10; i++) await increment()
      }),
    )
    expect((await store.get("n"))?.value).toBe("80")
  })

  storeTest("a commit that changes nothing leaves the revision", async (store) => {
    const revision = await write(store, put("a", "1"))
    expect(await write(store, remove("missing"))).toBe(revision)
    expect(await store.commit([{ key: "a", modRevision: revision }], [])).toBe(revision)
    expect(await store.commit([{ key: "a", modRevision: 0 }], [])).toBeUndefined()
    expect((await store.list("")).revision).toBe(revision)
  })

  storeTest("a commit takes as many operations and bytes as the limits say, and no more", async (store) => {
    const many = Array.from({ length: operationsMax }, (_, i) => put(`k${i}`, ""))
    expect(await write(store, ...many)).toBeGreaterThan(0)
    await rejection("TOO_LARGE", store.commit([], [...many, put("one more", "")]))
    expect(await write(store, put("a", "x".repeat(commitBytesMax - 1)))).toBeGreaterThan(0)
    await rejection("TOO_LARGE", store.commit([], [put("a", "x".repeat(commitBytesMax))]))
    await rejection("TOO_LARGE", store.commit([], [put("a", "€".repeat(commitBytesMax / 2))]))
  })

  storeTest("a commit that nothing could store is INVALID", async (store) => {
    await rejection("INVALID", store.commit([], [put("a", "1"), remove("a")]))
    await rejection("INVALID", store.commit([], [put("", "1")]))
    await rejection("INVALID", store.commit([], [put("\ud800", "1")]))
    await rejection("INVALID", store.commit([], [put("a", "\udc00")]))
    await rejection("INVALID", store.commit([{ key: "", modRevision: 0 }], []))
    await rejection("INVALID", store.get(""))
    await rejection("INVALID", store.list("\ud800"))
    expect((await store.list("")).entries).toEqual([])
  })

  storeTest("values of 1 MB come back whole, many in one listing too", async (store) => {
    const value = "é".repeat(500_000)
    for (let i = 0; i < 6; i++) await write(store, put(`large/${i}`, `${i}${value}`))
    expect((await store.get("large/3"))?.value).toBe(`3${value}`)
    const { entries } = await store.list("large/")
    expect(entries.map((entry) => entry.value === `${entry.key.at(-1)}${value}`)).toEqual(Array(6).fill(true))
  })

  storeTest("any text is a key and a value, and keys have the order of their bytes", async (store) => {
    let n = 0
    const sample = fc.array(fc.tuple(text(1), text(0)), { minLength: 1, maxLength: 12 })
    const property = fc.asyncProperty(sample, text(0), async (pairs, prefix) => {
      const root = `${n++}/`
      const wanted = new Map(pairs.map(([key, value]) => [root + key, value]))
      await write(store, ...[...wanted].map(([key, value]) => put(key, value)))
      for (const [key, value] of wanted) expect((await store.get(key))?.value).toBe(value)
      const sorted = [...wanted.keys()]
        .filter((key) => key.startsWith(root + prefix))
        .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const found = (await store.list(root + prefix)).entries.map(({ key }) => key)
      expect(found).toEqual(sorted)
    })
    await fc.assert(property, { numRuns: 60 })
  })

  storeTest("a store that is closed says so", async (store) => {
    await store[Symbol.asyncDispose]()
    await rejection("STORE_UNAVAILABLE", store.get("a"))
    await rejection("STORE_UNAVAILABLE", store.list(""))
    await rejection("STORE_UNAVAILABLE", store.commit([], [put("a", "1")]))
    await rejection("STORE_UNAVAILABLE", store.grant(1_000))
  })

  if (!keepsData) return

  storeTest("a store that is opened again has what it had", async (store, backend) => {
    const created = await write(store, put("a", "1"), put("b", "2"))
    const revision = await write(store, put("a", "3"))
    await store[Symbol.asyncDispose]()
    await using again = await backend.open()
    const listing = await again.list("")
    expect(listing).toEqual({
      revision,
      entries: [
        { key: "a", value: "3", createRevision: created, modRevision: revision },
        { key: "b", value: "2", createRevision: created, modRevision: created },
      ],
    })
    expect(await again.commit([{ key: "a", modRevision: revision }], [put("a", "4")])).toBeGreaterThan(
      revision,
    )
  })
}
