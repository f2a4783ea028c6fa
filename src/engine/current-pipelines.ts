import type { PipelineRecord } from "../model/pipeline.ts"
import { follow } from "../store/follow.ts"
import { pipelineKey, prefixes } from "../store/keys.ts"
import type { Entry, Guard, Store } from "../store/store.ts"

/** A pipeline as new runs would start with it. */
export interface CurrentPipeline {
  readonly hash: string
  /** Holds as long as that is so. */
  readonly guard: Guard
}

/** The hash of each pipeline as new runs would start with it, kept current by a watch. */
export class CurrentPipelines {
  readonly #store: Store
  readonly #onChange: () => void
  readonly #known = new Map<string, CurrentPipeline>()

  /** `onChange` is called after each change of what `get` answers. */
  constructor(store: Store, onChange: () => void) {
    this.#store = store
    this.#onChange = onChange
  }

  /** Resolves when they are known. */
  async start(signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
    await follow(this.#store, {
      list: prefixes.pipelines,
      watch: prefixes.pipelines,
      signal,
      onError,
      onListing: ({ entries }) => {
        this.#known.clear()
        for (const entry of entries) this.#put(entry)
        this.#onChange()
      },
      onChanges: (changes) => {
        for (const change of changes) {
          if (change.type === "put") this.#put(change.entry)
          else this.#known.delete(change.key)
        }
        this.#onChange()
      },
    })
  }

  /** The pipeline of this name; undefined when there is none now. */
  get(name: string): CurrentPipeline | undefined {
    return this.#known.get(pipelineKey(name))
  }

  #put({ key, value, modRevision }: Entry): void {
    const { hash } = JSON.parse(value) as PipelineRecord
    this.#known.set(key, { hash, guard: { key, modRevision } })
  }
}
