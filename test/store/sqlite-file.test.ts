import { describe } from "bun:test"
import { join } from "node:path"
import { openSqlite } from "../../src/store/sqlite.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { storeConforms } from "./conformance.ts"
import { forgetSqliteHistory, historyBytesMax } from "./sqlite-history.ts"

describe("SQLite in a file", () => {
  const start = async () => {
    const folder = await tempFolder()
    return {
      open: () => openSqlite(join(folder.path, "store.db"), { historyBytesMax }),
      compact: forgetSqliteHistory,
      ttlMs: 100,
      [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
    }
  }
  storeConforms(start, { keepsData: true })
})
