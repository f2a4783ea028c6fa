import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import type { StepState } from "../model/run.ts"
import { stepsPrefix } from "../store/keys.ts"
import type { Store } from "../store/store.ts"

/**
 * Files of large data that no result refers to: their attempt was cut off before its end was written down, or was made
 * again. While a run goes on, one more may be about to be referred to, so they go when it has ended.
 */
export class StrayResults {
  readonly #store: Store
  /** Ended runs have no new ones: each is looked at once for as long as this host runs. */
  readonly #clean = new Set<string>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Deletes those in the folder of a run that has ended; answers how many. */
  async collect(runId: string, folder: string): Promise<number> {
    if (this.#clean.has(runId)) return 0
    const files = await readdir(folder)
    const { entries } = await this.#store.list(stepsPrefix(runId))
    const referred = new Set(
      entries.flatMap(({ value }) => {
        const state = JSON.parse(value) as StepState
        const ref = "result" in state ? state.result.dataRef : undefined
        return ref === undefined ? [] : [`${ref.sha256}.json`]
      }),
    )
    const strays = files.filter((file) => !referred.has(file))
    for (const file of strays) await rm(join(folder, file), { force: true })
    this.#clean.add(runId)
    return strays.length
  }

  /** A run that is gone need not be remembered. */
  forget(runId: string): void {
    this.#clean.delete(runId)
  }
}
