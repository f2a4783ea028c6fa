import type { Entry } from "../store/store.ts"

/**
 * Remembers what was made of an entry for as long as the entry has not been written again. At most `countMax` are
 * kept, the oldest go first. What `parse` throws is not remembered.
 */
export function parsedEntries<T>(parse: (value: string) => T, countMax = 1_000): (entry: Entry) => T {
  const known = new Map<string, { readonly modRevision: number; readonly parsed: T }>()
  return (entry) => {
    const before = known.get(entry.key)
    if (before !== undefined && before.modRevision === entry.modRevision) return before.parsed
    const parsed = parse(entry.value)
    known.delete(entry.key)
    known.set(entry.key, { modRevision: entry.modRevision, parsed })
    const oldest = known.keys().next().value
    if (known.size > countMax && oldest !== undefined) known.delete(oldest)
    return parsed
  }
}
