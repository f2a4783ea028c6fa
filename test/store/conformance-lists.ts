import { expect } from "bun:test"
import type { ListOptions, Store } from "../../src/store/store.ts"
import type { StoreTest } from "./conformance.ts"
import { put, rejection, remove, write } from "./watching.ts"

async function keysOf(store: Store, prefix: string, options?: ListOptions): Promise<string[]> {
  return (await store.list(prefix, options)).entries.map(({ key }) => key)
}

/** All keys, read in pages of `limit`. */
async function pagesOf(store: Store, prefix: string, options: ListOptions): Promise<string[][]> {
  const pages: string[][] = []
  let after = options.after
  for (;;) {
    const page = await keysOf(store, prefix, after === undefined ? options : { ...options, after })
    if (page.length === 0) return pages
    pages.push(page)
    after = page.at(-1)
  }
}

export function listsConform(storeTest: StoreTest): void {
  storeTest("a listing holds what starts with its prefix, in order", async (store) => {
    await write(store, ...["b/2", "a/1", "b", "b/1", "c/1", "b0"].map((key) => put(key, "")))
    expect(await keysOf(store, "b/")).toEqual(["b/1", "b/2"])
    expect(await keysOf(store, "b")).toEqual(["b", "b/1", "b/2", "b0"])
    expect(await keysOf(store, "")).toEqual(["a/1", "b", "b/1", "b/2", "b0", "c/1"])
    expect(await keysOf(store, "d")).toEqual([])
  })

  storeTest("pages join without a gap, forward and back", async (store) => {
    await write(store, ...["a", "p/1", "p/2", "p/3", "p/4", "p/5", "z"].map((key) => put(key, "")))
    expect(await pagesOf(store, "p/", { limit: 2 })).toEqual([["p/1", "p/2"], ["p/3", "p/4"], ["p/5"]])
    expect(await pagesOf(store, "p/", { limit: 2, reverse: true })).toEqual([
      ["p/5", "p/4"],
      ["p/3", "p/2"],
      ["p/1"],
    ])
    expect(await keysOf(store, "p/", { limit: 0 })).toEqual([])
    expect(await keysOf(store, "p/", { limit: 100 })).toHaveLength(5)
  })

  storeTest("a page may start behind a key that is not there, or lies elsewhere", async (store) => {
    await write(store, ...["p/1", "p/3"].map((key) => put(key, "")))
    expect(await keysOf(store, "p/", { after: "p/2" })).toEqual(["p/3"])
    expect(await keysOf(store, "p/", { after: "p/2", reverse: true })).toEqual(["p/1"])
    expect(await keysOf(store, "p/", { after: "a" })).toEqual(["p/1", "p/3"])
    expect(await keysOf(store, "p/", { after: "a", reverse: true })).toEqual([])
    expect(await keysOf(store, "p/", { after: "z" })).toEqual([])
    expect(await keysOf(store, "p/", { after: "z", reverse: true })).toEqual(["p/3", "p/1"])
    expect(await keysOf(store, "", { after: "p/1" })).toEqual(["p/3"])
  })

  storeTest("a prefix may end in any character", async (store) => {
    const keys = [
      "a\ud7ff",
      "a\ud7ffx",
      "a\ue000",
      "a\u{10ffff}",
      "a\u{10ffff}\u{10ffff}x",
      "b",
      "\u{10ffff}",
    ]
    await write(store, ...keys.map((key) => put(key, "")))
    expect(await keysOf(store, "a\ud7ff")).toEqual(["a\ud7ff", "a\ud7ffx"])
    expect(await keysOf(store, "a\u{10ffff}")).toEqual(["a\u{10ffff}", "a\u{10ffff}\u{10ffff}x"])
    expect(await keysOf(store, "\u{10ffff}")).toEqual(["\u{10ffff}"])
    expect(await keysOf(store, "\u{10ffff}", { reverse: true, limit: 1 })).toEqual(["\u{10ffff}"])
  })

  storeTest("a long listing is of one revision while others write", async (store) => {
    const names = Array.from({ length: 450 }, (_, i) => `k/${String(i).padStart(4, "0")}`)
    for (let i = 0; i < names.length; i += 100) {
      await write(store, ...names.slice(i, i + 100).map((key) => put(key, "0")))
    }
    // The first and the last key always change together, so a listing that mixes revisions shows two values.
    let writing = true
    const writer = (async () => {
      for (let n = 1; writing; n++) await write(store, put("k/0000", `${n}`), put("k/0449", `${n}`))
    })()
    for (let i = 0; i < 10; i++) {
      const { revision, entries } = await store.list("k/", { reverse: i % 2 === 1 })
      expect(entries).toHaveLength(450)
      expect(entries.at(0)?.value).toBe(entries.at(-1)?.value ?? "none")
      expect(entries.every(({ modRevision }) => modRevision <= revision)).toBe(true)
    }
    writing = false
    await writer
  })

  storeTest(
    "a page that names the revision of the first is as of then, or says that it is gone",
    async (store) => {
      await write(store, ...["p/1", "p/2", "p/3"].map((key) => put(key, "first")))
      const { revision } = await store.list("p/", { limit: 1 })
      const rest = { after: "p/1", revision }
      const unchanged = await store.list("p/", rest)
      expect(unchanged.revision).toBe(revision)
      expect(unchanged.entries.map(({ value }) => value)).toEqual(["first", "first"])
      await write(store, put("p/2", "second"), remove("p/3"))
      const answer = await store.list("p/", rest).catch((error: unknown) => error)
      if (answer instanceof Error) await rejection("COMPACTED", Promise.reject(answer))
      else expect(answer).toEqual(unchanged)
    },
  )

  storeTest("a page of a revision that is compacted says so", async (store, backend) => {
    const revision = await write(store, put("a", "1"))
    await write(store, put("a", "2"))
    await backend.compact(store)
    await rejection("COMPACTED", store.list("a", { revision }))
    expect(await keysOf(store, "a")).toEqual(["a"])
  })

  storeTest("a listing knows the revision of a delete", async (store) => {
    await write(store, put("a", ""))
    const revision = await write(store, remove("a"))
    expect(await store.list("a")).toEqual({ revision, entries: [] })
    expect(await store.list("b", { after: "c" })).toEqual({ revision, entries: [] })
  })
}
