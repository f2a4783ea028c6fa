import { describe } from "bun:test"
import { openSqlite } from "../../src/store/sqlite.ts"
import { storeConforms } from "./conformance.ts"
import { forgetSqliteHistory, historyBytesMax } from "./sqlite-history.ts"

describe("SQLite in memory", () => {
  const start = async () => ({
    open: () => openSqlite(":memory:", { historyBytesMax }),
    compact: forgetSqliteHistory,
    ttlMs: 100,
    [Symbol.asyncDispose]: async () => {},
  })
  storeConforms(start, { keepsData: false })
})
