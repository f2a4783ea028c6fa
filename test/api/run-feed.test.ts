import { expect, test } from "bun:test"
import { startRunFeed } from "../../src/api/run-feed.ts"
import { runKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"

/** The store, whose first watches break with this error after their first batch. */
function withBreakingWatch(store: Store, error: Error, breaks: number): Store {
  let left = breaks
  return new Proxy(store, {
    get(target, name) {
      if (name === "watch") {
        return async function* (...args: Parameters<Store["watch"]>) {
          for await (const changes of target.watch(...args)) {
            yield changes
            if (left-- > 0) throw error
          }
        }
      }
      const member = Reflect.get(target, name)
      return typeof member === "function" ? member.bind(target) : member
    },
  })
}

test("a feed whose watch breaks goes on where it was, without gap or duplicate", async () => {
  await using real = await openSqlite(":memory:")
  const store = withBreakingWatch(real, new Error("broken"), 2)
  const stop = new AbortController()
  const errors: unknown[] = []
  const feed = await startRunFeed({
    store,
    signal: stop.signal,
    onError: (error) => errors.push(error),
  })
  const runId = Bun.randomUUIDv7()
  const seen: string[] = []
  const unsubscribe = feed.subscribe(runId, (event) => {
    if (event.type === "put") seen.push(event.entry.value)
  })
  for (const value of ["1", "2", "3", "4"]) {
    await store.commit([], [{ type: "put", key: runKey(runId), value }])
    await store.commit([], [{ type: "put", key: runKey(Bun.randomUUIDv7()), value: "another run" }])
  }
  await until("the last change is seen", () => seen.includes("4"))
  expect(seen).toEqual(["1", "2", "3", "4"])
  expect(errors.map(String)).toEqual(["Error: broken", "Error: broken"])

  unsubscribe()
  const other = Bun.randomUUIDv7()
  const otherSeen: string[] = []
  feed.subscribe(other, (event) => otherSeen.push(event.type))
  await store.commit([], [{ type: "put", key: runKey(runId), value: "5" }])
  await store.commit([], [{ type: "put", key: runKey(other), value: "1" }])
  await until("the other run's change is seen", () => otherSeen.length === 1)
  expect(seen).toEqual(["1", "2", "3", "4"])
  stop.abort()
})
