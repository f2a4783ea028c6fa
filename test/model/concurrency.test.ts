import { describe, expect, test } from "bun:test"
import { admit, type ConcurrencyRecord, type RunConcurrency, released } from "../../src/model/concurrency.ts"

const now = "2026-01-01T00:00:00.000Z"
const holder = (runId: string) => ({ runId, since: now })
const queued = (runId: string, priority = 0) => ({ runId, priority, since: now })
const record = (holders: readonly string[], queue: ConcurrencyRecord["queue"] = []): ConcurrencyRecord => ({
  key: "production",
  holders: holders.map(holder),
  queue,
})

/** What becomes of the run "me". */
function ask(
  known: ConcurrencyRecord | undefined,
  more: Partial<RunConcurrency> & { readonly priority?: number } = {},
): string {
  const { priority = 0, ...concurrency } = more
  const answer = admit(known, {
    runId: "me",
    concurrency: { key: "production", limit: 1, policy: "queue", ...concurrency },
    priority,
    now,
    isNewer: (runId) => runId.startsWith("late"),
  })
  switch (answer.type) {
    case "admitted":
      return `holds beside ${answer.record.holders.length - 1}, ${answer.record.queue.length} wait`
    case "wait": {
      const place = answer.record.queue.findIndex(({ runId }) => runId === "me")
      return [`waits behind ${place}`, ...answer.cancels.map((runId) => `cancels ${runId}`)].join(", ")
    }
    case "replaced":
      return `replaced by ${answer.by}`
    case "rejected":
      return `rejected by ${answer.by.runId}`
    default:
      return answer satisfies never
  }
}

const table: readonly (readonly [string, string, string])[] = [
  ["a key that nobody holds is free", ask(undefined), "holds beside 0, 0 wait"],
  ["who holds it goes on holding it", ask(record(["me"])), "holds beside 0, 0 wait"],
  ["a held key is waited for", ask(record(["other"])), "waits behind 0"],
  ["a limit lets more than one hold it", ask(record(["other"]), { limit: 2 }), "holds beside 1, 0 wait"],
  ["who came first goes first", ask(record(["other"], [queued("early")])), "waits behind 1"],
  [
    "a more important run goes before less important ones",
    ask(record(["other"], [queued("early")]), { priority: 5 }),
    "waits behind 0",
  ],
  ["a free place belongs to the first in the queue", ask(record([], [queued("early")])), "waits behind 1"],
  [
    "the first in the queue takes it",
    ask(record([], [queued("me"), queued("late")])),
    "holds beside 0, 1 wait",
  ],
  ["a run that may not wait is rejected", ask(record(["other"]), { policy: "reject" }), "rejected by other"],
  [
    "a run that may not wait takes a free key",
    ask(record([]), { policy: "reject" }),
    "holds beside 0, 0 wait",
  ],
  [
    "a run that replaces cancels who holds it, and who waited before",
    ask(record(["other"], [queued("early")]), { policy: "replace" }),
    "waits behind 1, cancels early, cancels other",
  ],
  [
    "a run that replaces cancels no more than it must",
    ask(record(["oldest", "newer"]), { policy: "replace", limit: 2 }),
    "waits behind 0, cancels oldest",
  ],
  [
    "a run that was made first goes first, though it asks last",
    ask(record(["other"], [queued("early"), queued("late")])),
    "waits behind 1",
  ],
  [
    "a run that replaces leaves its place to a newer one that asked before it",
    ask(record(["late"]), { policy: "replace" }),
    "replaced by late",
  ],
  [
    "a run that replaces leaves its place to a newer one that waits",
    ask(record([], [queued("late")]), { policy: "replace" }),
    "replaced by late",
  ],
  [
    "a run that replaces takes a place beside a newer one, of an older one",
    ask(record(["late", "other"]), { policy: "replace", limit: 2 }),
    "waits behind 0, cancels other",
  ],
  [
    "a run that replaces cancels an older one also where that waits behind it",
    ask(record(["other"], [queued("me", 5), queued("early")]), { policy: "replace", priority: 5 }),
    "waits behind 0, cancels early, cancels other",
  ],
  [
    "a run that replaces leaves a newer one alone that is more important",
    ask(record(["other"], [queued("late", 5), queued("me")]), { policy: "replace" }),
    "waits behind 1, cancels other",
  ],
  [
    "a run that replaces leaves those alone that came after it",
    ask(record(["other"], [queued("me"), queued("late")]), { policy: "replace" }),
    "waits behind 0, cancels other",
  ],
]

describe("a concurrency key", () => {
  for (const [sentence, found, expected] of table) test(sentence, () => expect(found).toBe(expected))

  test("is forgotten when the last one gives it back", () => {
    expect(released(record(["me"]), "me")).toBeUndefined()
    expect(released(record(["me"], [queued("late")]), "me")).toEqual(record([], [queued("late")]))
  })
})
