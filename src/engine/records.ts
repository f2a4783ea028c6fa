import type { Pipeline } from "../model/pipeline.ts"
import { isEnded } from "../model/run.ts"
import { pipelineRevisionKey } from "../store/keys.ts"
import { findVersion } from "../store/resource-version.ts"
import type { Store } from "../store/store.ts"
import type { ObservedRun } from "./observe.ts"

const pipelinesKeptMax = 500

/**
 * Reads what a run refers to: its records, its pipeline revision, its version of the resource. The latter two never
 * change, so each is read once, and pipelines are shared between runs.
 */
export class RunRecords {
  readonly #store: Store
  readonly #pipelines = new Map<string, Pipeline>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Fills in what is not known of the run yet. Answers what it refers to and the store does not hold. */
  async complete(run: ObservedRun): Promise<string | undefined> {
    if (!run.complete) await run.read(this.#store)
    const { header } = run
    if (header === undefined || isEnded(header.status)) return undefined
    const hash = header.pipeline?.hash
    if (hash !== undefined && run.pipeline?.hash !== hash) {
      const content = await this.#pipelineOf(hash)
      if (content === undefined) return `pipeline revision ${hash} is not in the store`
      run.pipeline = { hash, content }
    }
    run.resource ??= (await findVersion(this.#store, header.resource))?.resource
    if (run.resource !== undefined) return undefined
    const { type, name, version } = header.resource
    return `version ${version} of the resource ${type}/${name} is not in the store`
  }

  async #pipelineOf(hash: string): Promise<Pipeline | undefined> {
    const known = this.#pipelines.get(hash)
    if (known !== undefined) return known
    const entry = await this.#store.get(pipelineRevisionKey(hash))
    if (entry === undefined) return undefined
    const pipeline = JSON.parse(entry.value) as Pipeline
    const [oldest] = this.#pipelines.keys()
    if (this.#pipelines.size >= pipelinesKeptMax && oldest !== undefined) this.#pipelines.delete(oldest)
    this.#pipelines.set(hash, pipeline)
    return pipeline
  }
}
