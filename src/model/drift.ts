import type { DeclaredContent, DeclaredKind, HostFile } from "./host-file.ts"
import { HostFiles } from "./host-file.ts"

/** A host's folder has other content of a name than the store, and the store keeps what it has. */
export interface Drift {
  readonly kind: DeclaredKind
  readonly name: string
  /** The file in that host's folder. */
  readonly file: string
  /** The hash of what that file declares. */
  readonly here: string
  /** The hash of what the store has: what runs are started with, on every host. */
  readonly store: string
  /** The live hosts whose folders have what the store has. None when it came from a host that is gone. */
  readonly heldBy: readonly string[]
}

/** The drift of each host that has any, by its id, in the order of files. `storedHash` is undefined for what no file owns. */
export function driftOf(
  files: readonly HostFile[],
  storedHash: (declared: DeclaredContent) => string | undefined,
): ReadonlyMap<string, readonly Drift[]> {
  const all = new HostFiles(files)
  const drift = new Map<string, Drift[]>()
  for (const { hostId, file, declares } of files) {
    for (const declared of declares) {
      const { kind, name, hash: here } = declared
      const store = storedHash(declared)
      if (store === undefined || store === here) continue
      const found = { kind, name, file, here, store, heldBy: all.holders({ kind, name, hash: store }) }
      drift.set(hostId, [...(drift.get(hostId) ?? []), found])
    }
  }
  return drift
}
