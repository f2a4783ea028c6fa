import type { PipelineRecord } from "../model/pipeline.ts"
import { follow } from "../store/follow.ts"
import { pipelineKey, prefixes } from "../store/keys.ts"
import type { Store } from "../store/store.ts"

/** The hash of each pipeline as new runs would start with it, kept current by a watch. */
export class CurrentPipelines {
  readonly #store: Store
  readonly #onChange: () => void
  readonly #hashes = new Map<string, string>()

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
        this.#hashes.clear()
        for (const { key, value } of entries) this.#put(key, value)
        this.#onChange()
      },
      onChanges: (changes) => {
        for (const change of changes) {
          if (change.type === "put") this.#put(change.entry.key, change.entry.value)
          else this.#hashes.delete(change.key)
        }
        this.#onChange()
      },
    })
  }

  /** The hash of the pipeline of this name; undefined when there is none now. */
  get(name: string): string | undefined {
    return this.#hashes.get(pipelineKey(name))
  }

  #put(key: string, value: string): void {
    this.#hashes.set(key, (JSON.parse(value) as PipelineRecord).hash)
  }
}
