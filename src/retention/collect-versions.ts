import { prefixes } from "../store/keys.ts"
import type { References } from "./references.ts"
import { pages, removeSeen, type Seen, type Sweep } from "./sweep.ts"

/** A version may be as large as a commit, so a page holds few. */
const pageMax = 20

/**
 * Deletes the earlier versions of resources beyond the newest few of each that no run refers to. The last one always
 * stays: the versions of a resource that was deleted count on from it. Answers how many are gone.
 *
 * A run refers to the version that is the newest when it starts, so no run can come to refer to an earlier one that
 * `references` was found after: one written later is left to the next pass.
 */
export async function collectVersions(sweep: Sweep, references: References): Promise<number> {
  const keptMax = Math.max(1, sweep.limits.keepVersionsMax)
  let removed = 0
  let resource = ""
  let newest: Seen[] = []
  for await (const { entries } of pages(sweep, prefixes.resourceVersions, pageMax)) {
    const doomed: Seen[] = []
    for (const { key, modRevision } of entries) {
      const itsResource = key.slice(0, key.lastIndexOf("/"))
      if (itsResource !== resource) newest = []
      resource = itsResource
      newest.push({ key, modRevision })
      const oldest = newest.length > keptMax ? newest.shift() : undefined
      if (oldest === undefined || references.versions.has(oldest.key)) continue
      if (oldest.modRevision <= references.revision) doomed.push(oldest)
    }
    if (doomed.length > 0) removed += await removeSeen(sweep, doomed)
  }
  return removed
}
