import { driversOf, type Run } from "../model/run.ts"
import { prefixes } from "../store/keys.ts"
import { isOfStore } from "./data-owner.ts"
import { pages, type Sweep } from "./sweep.ts"

/** The code of drivers in a host's data folder, by hash. */
export interface KeptDrivers {
  /** What is kept, serves no name now and runs no attempt. */
  unserved(): Promise<readonly string[]>
  /** Deletes it, unless it serves again. Answers whether it is gone. */
  forget(hash: string): Promise<boolean>
}

/**
 * Deletes from this host's data folder the code of drivers that does not serve any more and that no run is pinned to.
 * It goes only when it was found so again and again for `graceMs`, and not from a folder that another store was used
 * with first: what that one's runs are pinned to, this one does not know.
 */
export class LocalDrivers {
  readonly #drivers: KeptDrivers
  readonly #graceMs: number
  /** Since when each was found to be of no use. */
  #sinceMs: ReadonlyMap<string, number> = new Map()

  constructor(drivers: KeptDrivers, { graceMs }: { readonly graceMs: number }) {
    this.#drivers = drivers
    this.#graceMs = graceMs
  }

  /** Answers how many are gone. */
  async collect(
    { store, at, pause }: Pick<Sweep, "store" | "at" | "pause">,
    { data }: { readonly data: string },
  ): Promise<number> {
    const useless = new Set(await this.#drivers.unserved())
    if (useless.size === 0 || !(await isOfStore(data, store))) return 0
    for await (const { entries } of pages({ store, pause }, prefixes.runHeaders)) {
      for (const { value } of entries) {
        for (const hash of driversOf(JSON.parse(value) as Run)) useless.delete(hash)
      }
    }
    const since = new Map<string, number>()
    let removed = 0
    for (const hash of useless) {
      const sinceMs = this.#sinceMs.get(hash) ?? at.monotonicMs
      if (at.monotonicMs - sinceMs >= this.#graceMs && (await this.#drivers.forget(hash))) removed++
      else since.set(hash, sinceMs)
    }
    this.#sinceMs = since
    return removed
  }
}
