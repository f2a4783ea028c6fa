import type { DriverBundle } from "../model/driver.ts"
import { driverBundleKey, driverBundlePartKey, prefixes } from "../store/keys.ts"
import type { Revision, Write } from "../store/store.ts"
import { pages, type Sweep } from "./sweep.ts"

/** More parts than this no bundle has. They are deleted without being read, because each is large. */
const partsMax = 100

/**
 * Parts of driver bundles without the record that says how many there are: a host was killed while it wrote them. They
 * are looked for once in `graceMs`, because a look reads a part of each bundle; what two looks in a row find alike goes.
 */
export class OrphanParts {
  readonly #graceMs: number
  #lookedAtMs = Number.NEGATIVE_INFINITY
  /** By hash, when the first part was written. */
  #found: ReadonlyMap<string, Revision> = new Map()

  constructor({ graceMs }: { readonly graceMs: number }) {
    this.#graceMs = graceMs
  }

  /** Looks, when it is time to. Answers of how many bundles the parts are gone. */
  async collect(sweep: Sweep): Promise<number> {
    if (sweep.at.monotonicMs - this.#lookedAtMs < this.#graceMs) return 0
    // The parts first: whoever writes a bundle writes its record last.
    const first = await this.#firstParts(sweep)
    for await (const { entries } of pages(sweep, prefixes.driverBundles)) {
      for (const { value } of entries) first.delete((JSON.parse(value) as DriverBundle).hash)
    }
    let removed = 0
    for (const [hash, revision] of first) {
      if (this.#found.get(hash) !== revision || !(await removeParts(sweep, hash, revision))) continue
      first.delete(hash)
      removed++
    }
    this.#found = first
    this.#lookedAtMs = sweep.at.monotonicMs
    return removed
  }

  /** The first part there is of each bundle. */
  async #firstParts({ store, pause }: Sweep): Promise<Map<string, Revision>> {
    const first = new Map<string, Revision>()
    const { driverBundleParts: prefix } = prefixes
    let after: string | undefined
    for (;;) {
      const { entries } = await store.list(prefix, { limit: 1, ...(after === undefined ? {} : { after }) })
      const [entry] = entries
      if (entry === undefined) return first
      const [hash = ""] = entry.key.slice(prefix.length).split("/", 1)
      first.set(hash, entry.modRevision)
      // Behind all its parts: numbers sort before this.
      after = `${prefix}${hash}/~`
      await pause()
    }
  }
}

/** The record must still be missing, and the first part be as it was: else somebody writes the bundle now. */
async function removeParts(sweep: Sweep, hash: string, revision: Revision): Promise<boolean> {
  const [first] = (await sweep.store.list(`${prefixes.driverBundleParts}${hash}/`, { limit: 1 })).entries
  if (first?.modRevision !== revision) return false
  const deletes: Write[] = Array.from({ length: partsMax }, (_, part) => ({
    type: "delete",
    key: driverBundlePartKey(hash, part),
  }))
  const guards = [
    sweep.fence,
    { key: driverBundleKey(hash), modRevision: 0 },
    { key: first.key, modRevision: revision },
  ]
  const done = await sweep.store.commit(guards, deletes)
  await sweep.pause()
  return done !== undefined
}
