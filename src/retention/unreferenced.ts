import type { DriverBundle } from "../model/driver.ts"
import { driverBundlePartKey, prefixes } from "../store/keys.ts"
import type { Revision, Write } from "../store/store.ts"
import type { References } from "./references.ts"
import { pages, removeSeen, type Seen, type Sweep } from "./sweep.ts"

interface Found {
  readonly modRevision: Revision
  readonly sinceMs: number
}

/**
 * Pipeline revisions and driver bundles that nothing refers to. One goes only when it was found so again and again for
 * `graceMs`: a request may have read its hash and not have written it down yet. Written anew, it begins anew.
 */
export class Unreferenced {
  readonly #graceMs: number
  #found: ReadonlyMap<string, Found> = new Map()

  constructor({ graceMs }: { readonly graceMs: number }) {
    this.#graceMs = graceMs
  }

  /** Deletes what is due. Answers how many revisions and bundles are gone. */
  async collect(sweep: Sweep, references: References): Promise<number> {
    const revisions: Seen[] = []
    for await (const { entries } of pages(sweep, prefixes.pipelineRevisions, 20)) {
      const { length } = prefixes.pipelineRevisions
      revisions.push(...entries.filter(({ key }) => !references.pipelines.has(key.slice(length))).map(seen))
    }
    const bundles: (Seen & { readonly bundle: DriverBundle })[] = []
    for await (const { entries } of pages(sweep, prefixes.driverBundles)) {
      for (const entry of entries) {
        const bundle = JSON.parse(entry.value) as DriverBundle
        if (!references.drivers.has(bundle.hash)) bundles.push({ ...seen(entry), bundle })
      }
    }
    const due = this.#dueOf([...revisions, ...bundles], sweep.at.monotonicMs)
    let removed = await removeSeen(
      sweep,
      revisions.filter(({ key }) => due.has(key)),
    )
    for (const { bundle, ...record } of bundles) {
      if (due.has(record.key) && (await removeBundle(sweep, record, bundle))) removed++
    }
    return removed
  }

  #dueOf(unreferenced: readonly Seen[], nowMs: number): ReadonlySet<string> {
    const found = new Map<string, Found>()
    for (const { key, modRevision } of unreferenced) {
      const before = this.#found.get(key)
      const sinceMs = before?.modRevision === modRevision ? before.sinceMs : nowMs
      found.set(key, { modRevision, sinceMs })
    }
    this.#found = found
    const isDue = ({ key }: Seen) => nowMs - (found.get(key)?.sinceMs ?? nowMs) >= this.#graceMs
    return new Set(unreferenced.filter(isDue).map(({ key }) => key))
  }
}

function seen({ key, modRevision }: Seen): Seen {
  return { key, modRevision }
}

/** The record and all parts in one commit: a bundle is whole or not there. */
async function removeBundle(sweep: Sweep, record: Seen, { hash, parts }: DriverBundle): Promise<boolean> {
  const deletes: Write[] = [{ type: "delete", key: record.key }]
  for (let part = 0; part < parts; part++)
    deletes.push({ type: "delete", key: driverBundlePartKey(hash, part) })
  const revision = await sweep.store.commit([sweep.fence, record], deletes)
  await sweep.pause()
  return revision !== undefined
}
