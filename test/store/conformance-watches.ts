import { expect } from "bun:test"
import type { Change, Store } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"
import type { StoreTest } from "./conformance.ts"
import { batches, changes, put, rejection, remove, revisionOf, wordOf, write } from "./watching.ts"

/** Eight writers that each count up keys of their own, `each` times. */
function countUp(store: Store, each: number): Promise<unknown> {
  const writer = async (name: string) => {
    for (let i = 1; i <= each; i++) await write(store, put(`${name}/a`, `${i}`), put(`${name}/b`, `${i}`))
  }
  return Promise.all([..."12345678"].map((name) => writer(`w/${name}`)))
}

/** Expects every change of {@link countUp} once, in the order of revisions, those of one revision together. */
function expectCounted(seen: readonly Change[], each: number): void {
  expect(seen).toHaveLength(8 * each * 2)
  const counts = new Map<string, number>()
  let last = 0
  for (const change of seen) {
    if (change.type !== "put") throw new Error("Nothing was deleted")
    expect(revisionOf(change)).toBeGreaterThanOrEqual(last)
    last = revisionOf(change)
    const { key, value } = change.entry
    expect(Number(value)).toBe((counts.get(key) ?? 0) + 1)
    counts.set(key, Number(value))
  }
}

export function watchesConform(storeTest: StoreTest, { keepsData }: { keepsData: boolean }): void {
  storeTest("a watch sees every change once and in order while many write", async (store) => {
    const { revision } = await store.list("")
    const early = changes(store, { prefix: "w/", since: revision, count: 8 * 40 * 2 })
    await countUp(store, 40)
    expectCounted(await early, 40)
    expectCounted(await changes(store, { prefix: "w/", since: revision, count: 8 * 40 * 2 }), 40)
  })

  storeTest("a watch from an old revision sees what came after, puts and deletes", async (store) => {
    const first = await write(store, put("a", "0"))
    const since = await write(store, put("a", "1"))
    const second = await write(store, put("a", "2"), put("b", "1"))
    const third = await write(store, remove("a"))
    const seen = await changes(store, { since, count: 3 })
    expect(seen.map(wordOf)).toEqual(["a=2", "b=1", "-a"])
    expect(seen.map(revisionOf)).toEqual([second, second, third])
    expect(seen[0]).toEqual({
      type: "put",
      entry: { key: "a", value: "2", createRevision: first, modRevision: second },
    })
    expect(seen[1]).toEqual({
      type: "put",
      entry: { key: "b", value: "1", createRevision: second, modRevision: second },
    })
  })

  storeTest("a watch goes on live behind what it caught up with", async (store) => {
    const since = (await store.list("")).revision
    await write(store, put("a", "1"))
    const seen: string[] = []
    const ended = new AbortController()
    const watching = (async () => {
      for await (const batch of store.watch("", since, ended.signal)) seen.push(...batch.map(wordOf))
    })()
    await until("the past is seen", () => seen.length === 1)
    await write(store, put("a", "2"))
    await until("the present is seen", () => seen.length === 2)
    ended.abort()
    await watching
    expect(seen).toEqual(["a=1", "a=2"])
  })

  storeTest("the changes of a commit come in one batch, in the order of its writes", async (store) => {
    const since = (await store.list("")).revision
    await write(store, put("old", ""))
    const seen = batches(store, { since, count: 102 })
    const many = Array.from({ length: 100 }, (_, i) => put(`k/${99 - i}`, `${i}`))
    await write(store, ...many, remove("old"))
    const last = (await seen).at(-1) ?? []
    const words = last.slice(-101).map(wordOf)
    expect(words).toEqual([...many.map(({ key }, i) => `${key}=${i}`), "-old"])
  })

  storeTest("a watch sees its prefix only, and nothing of a conflict", async (store) => {
    const since = (await store.list("")).revision
    await write(store, put("a", ""), put("p", ""), put("p/1", "1"), put("p0", ""))
    await store.commit([{ key: "a", modRevision: 0 }], [put("p/2", "lost")])
    await write(store, remove("p/3"))
    await write(store, put("p/4", "4"))
    expect((await changes(store, { prefix: "p/", since, count: 2 })).map(wordOf)).toEqual(["p/1=1", "p/4=4"])
  })

  storeTest("a reader that is slow loses nothing", async (store) => {
    const since = (await store.list("")).revision
    const ended = new AbortController()
    const reader = store.watch("w/", since, ended.signal)[Symbol.asyncIterator]()
    await write(store, put("w/first", "1"))
    const first = await reader.next()
    expect(first.value?.map(wordOf)).toEqual(["w/first=1"])
    await countUp(store, 20)
    const rest: Change[] = []
    while (rest.length < 8 * 20 * 2) {
      const next = await reader.next()
      if (next.done === true) throw new Error("The watch ended early")
      rest.push(...next.value)
    }
    expectCounted(rest, 20)
    ended.abort()
    expect((await reader.next()).done).toBe(true)
  })

  storeTest("a watch that waits ends when it is aborted", async (store) => {
    const ended = new AbortController()
    const { revision } = await store.list("")
    const next = store.watch("", revision, ended.signal)[Symbol.asyncIterator]().next()
    ended.abort()
    expect((await next).done).toBe(true)
    const late = store.watch("", revision, ended.signal)[Symbol.asyncIterator]().next()
    expect((await late).done).toBe(true)
  })

  storeTest("a watch ends when the store closes", async (store) => {
    const { revision } = await store.list("")
    const next = store.watch("", revision, new AbortController().signal)[Symbol.asyncIterator]().next()
    await store[Symbol.asyncDispose]()
    expect((await next).done).toBe(true)
  })

  storeTest(
    "a watch from a revision that is gone throws COMPACTED, and lists and watches on",
    async (store, backend) => {
      const since = await write(store, put("a", "1"))
      await write(store, put("a", "2"))
      await write(store, put("a", "3"))
      await backend.compact(store)
      await rejection("COMPACTED", changes(store, { prefix: "a", since, count: 1 }))
      await rejection("COMPACTED", changes(store, { prefix: "other", since, count: 1 }))
      const { revision, entries } = await store.list("a")
      expect(entries.map(({ value }) => value)).toEqual(["3"])
      const seen = changes(store, { prefix: "a", since: revision, count: 1 })
      await write(store, put("a", "4"))
      expect((await seen).map(wordOf)).toEqual(["a=4"])
    },
  )

  if (!keepsData) return

  storeTest("a watch from the present revision works after reopening", async (store, backend) => {
    const revision = await write(store, put("a", "1"))
    await store[Symbol.asyncDispose]()
    await using again = await backend.open()
    const seen = changes(again, { since: revision, count: 1 })
    await write(again, put("a", "2"))
    expect((await seen).map(wordOf)).toEqual(["a=2"])
  })
}
