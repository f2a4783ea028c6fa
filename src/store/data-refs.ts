import type { DataRef } from "../model/driver.ts"
import type { StepState } from "../model/run.ts"
import type { MovedEntry } from "./digest.ts"
import { parseRunKey } from "./keys.ts"

/* Large data of results lies in data folders; a store only refers to it. */

/** The data that an entry refers to, when it is a step's and its data is large. */
export function dataRefIn({ key, value }: MovedEntry): DataRef | undefined {
  if (!value.includes('"dataRef"') || parseRunKey(key)?.type !== "step") return undefined
  const state = JSON.parse(value) as StepState
  return "result" in state ? state.result.dataRef : undefined
}

/** "large data of 2 results". */
export function describeData(count: number): string {
  return `large data of ${count} ${count === 1 ? "result" : "results"}`
}

/** Counts, in entries that pass by, the results whose data does not go where the entries go. */
export class DataLeftBehind {
  #count = 0
  readonly #hosts = new Set<string>()

  async *seenIn<Moved extends MovedEntry>(entries: AsyncIterable<Moved>): AsyncGenerator<Moved> {
    for await (const entry of entries) {
      const ref = dataRefIn(entry)
      if (ref !== undefined) {
        this.#count++
        this.#hosts.add(ref.hostId)
      }
      yield entry
    }
  }

  /** What stays behind, in words; nothing when nothing does. */
  describe(): string | undefined {
    if (this.#count === 0) return undefined
    return `not moved: ${describeData(this.#count)}, which lies in the data folders of ${[...this.#hosts].join(", ")}`
  }
}
