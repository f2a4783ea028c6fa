import type { Store } from "../../src/store/store.ts"
import { put, write } from "./watching.ts"

/** A history short enough to be passed by a test. */
export const historyBytesMax = 2_000_000

/** Writes more than a history of that size keeps. */
export async function forgetSqliteHistory(store: Store): Promise<void> {
  for (let i = 0; i < 3; i++) await write(store, put("filler", "x".repeat(1_000_000)))
}
