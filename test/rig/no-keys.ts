import type { KeyRecords } from "../../src/engine/apply.ts"

/** For runs of pipelines without a concurrency key. */
export const noKeys: KeyRecords = {
  change() {
    throw new Error("a run without a concurrency key changes none")
  },
  wrote() {},
}
