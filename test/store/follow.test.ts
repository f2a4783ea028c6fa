import { expect, test } from "bun:test"
import { ConveyorError } from "../../src/errors.ts"
import { keyOf } from "../../src/store/change.ts"
import { follow } from "../../src/store/follow.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"
import { put, write } from "./watching.ts"

/** Follows everything under "a/", and writes down what it is told. */
async function followed(store: Store, signal: AbortSignal) {
  const told: string[] = []
  await follow(store, {
    list: "a/",
    watch: "a/",
    signal,
    onListing: ({ entries }) => told.push(`listed ${entries.map(({ key }) => key).join(" ")}`),
    onChanges: (changes) => told.push(...changes.map((change) => `${change.type} ${keyOf(change)}`)),
    onError: (error) => told.push(String(error)),
  })
  return told
}

/** The store, whose first watch ends with this error after its first batch. */
function withBreakingWatch(store: Store, error: Error): Store {
  let breaks = true
  return new Proxy(store, {
    get(target, name) {
      if (name === "watch") {
        return async function* (...args: Parameters<Store["watch"]>) {
          for await (const changes of target.watch(...args)) {
            yield changes
            if (!breaks) continue
            breaks = false
            throw error
          }
        }
      }
      const member = Reflect.get(target, name)
      return typeof member === "function" ? member.bind(target) : member
    },
  })
}

test("a follower is told what is there, and then each change once", async () => {
  await using store = await openSqlite(":memory:")
  await write(store, put("a/1", "x"), put("b/1", "x"))
  const stop = new AbortController()
  const told = await followed(store, stop.signal)
  await write(store, put("a/2", "x"), put("b/2", "x"))
  await write(store, { type: "delete", key: "a/1" })
  await until("the deletion is told", () => told.length === 3)
  expect(told).toEqual(["listed a/1", "put a/2", "delete a/1"])
  stop.abort()
})

test("a follower whose history is gone is told anew what is there", async () => {
  await using store = await openSqlite(":memory:")
  const compacted = withBreakingWatch(store, new ConveyorError("COMPACTED", "gone"))
  const stop = new AbortController()
  const told = await followed(compacted, stop.signal)
  await write(store, put("a/1", "x"))
  await until("the change is told", () => told.length === 2)
  await write(store, put("a/2", "x"))
  await until("it is listed again", () => told.length === 3)
  await write(store, put("a/3", "x"))
  await until("the next change is told", () => told.length === 4)
  expect(told).toEqual(["listed ", "put a/1", "listed a/1 a/2", "put a/3"])
  stop.abort()
})

test("a follower whose watch breaks goes on where it was", async () => {
  await using store = await openSqlite(":memory:")
  const stop = new AbortController()
  const told = await followed(withBreakingWatch(store, new Error("broken")), stop.signal)
  await write(store, put("a/1", "x"))
  await write(store, put("a/2", "x"))
  await until("the second change is told", () => told.includes("put a/2"))
  expect(told).toEqual(["listed ", "put a/1", "Error: broken", "put a/2"])
  stop.abort()
})

test("a follower says once that the store is away, however often it asks", async () => {
  await using store = await openSqlite(":memory:")
  let asked = 0
  const compacted = withBreakingWatch(store, new ConveyorError("COMPACTED", "gone"))
  const away = new Proxy(compacted, {
    get(target, name) {
      if (name === "list" && ++asked > 1 && asked < 4) {
        return () => Promise.reject(new ConveyorError("STORE_UNAVAILABLE", "away"))
      }
      return Reflect.get(target, name) as unknown
    },
  })
  const stop = new AbortController()
  const told = await followed(away, stop.signal)
  await write(store, put("a/1", "x"))
  await until("it is listed again", () => told.includes("listed a/1"))
  expect(asked).toBe(4)
  expect(told).toEqual(["listed ", "put a/1", "ConveyorError: away", "listed a/1"])
  stop.abort()
})

test("a follower rejects when the first listing fails", async () => {
  const store = await openSqlite(":memory:")
  await store[Symbol.asyncDispose]()
  await expect(followed(store, new AbortController().signal)).rejects.toThrow("closed")
})
