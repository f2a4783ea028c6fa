import type { Pipeline } from "../model/pipeline.ts"
import { pipelineRevisionKey } from "../store/keys.ts"
import type { Store } from "../store/store.ts"

const countMax = 200

/** Reads pipeline revisions. They never change, so the latest ones are kept. Undefined for one that is not there. */
export function pipelineRevisions(store: Store): (hash: string) => Promise<Pipeline | undefined> {
  const known = new Map<string, Pipeline>()
  return async (hash) => {
    const before = known.get(hash)
    if (before !== undefined) return before
    const entry = await store.get(pipelineRevisionKey(hash))
    if (entry === undefined) return undefined
    const pipeline = JSON.parse(entry.value) as Pipeline
    known.set(hash, pipeline)
    const oldest = known.keys().next().value
    if (known.size > countMax && oldest !== undefined) known.delete(oldest)
    return pipeline
  }
}
