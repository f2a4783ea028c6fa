import type { HostFile } from "../model/host-file.ts"
import { canonicalJson, type Json } from "../model/json.ts"
import { hostFileKey } from "../store/keys.ts"
import type { DeclaredName, FolderView, Ownership } from "./ownership.ts"
import type { FileChange, Stored } from "./plan-files.ts"

/**
 * What this host's folder says, by file: what each declares, or why it is refused. A file of which nothing can be said
 * now is there with the names that it goes on owning. Files that say nothing are left out.
 */
export function hostFilesOf(
  folder: FolderView,
  {
    ownership: { holdings, refused },
    owned,
    hostId,
  }: {
    readonly ownership: Ownership
    readonly owned: ReadonlyMap<DeclaredName, string>
    readonly hostId: string
  },
): ReadonlyMap<string, HostFile> {
  const files = new Map<string, HostFile>()
  for (const [file, { declarations, names }] of folder.files) {
    const faults = refused.get(file) ?? []
    const declares =
      faults.length > 0 ? [] : declarations.map(({ kind, name, hash }) => ({ kind, name, hash }))
    const kept = faults.length === 0 ? [] : [...owned].filter(([, owner]) => owner === file)
    const all = [...new Set([...names, ...kept.map(([name]) => bareName(name))])].sort()
    if (all.length > 0 || faults.length > 0) files.set(file, { hostId, file, declares, names: all, faults })
  }
  for (const [name, { file }] of holdings) {
    if (folder.files.has(file)) continue
    const names = [...(files.get(file)?.names ?? []), bareName(name)]
    files.set(file, { hostId, file, declares: [], names: [...new Set(names)].sort(), faults: [] })
  }
  return files
}

/** What to write so that others see this folder as it is. What was published of a file that is uncertain now stays. */
export function publications(
  files: ReadonlyMap<string, HostFile>,
  {
    folder,
    hostId,
    published,
  }: {
    readonly folder: FolderView
    readonly hostId: string
    readonly published: ReadonlyMap<string, Stored<HostFile>>
  },
): readonly FileChange[] {
  const puts = [...files.values()].flatMap((value): FileChange[] => {
    const key = hostFileKey(hostId, value.file)
    const before = published.get(key)
    const isUncertain = folder.isUncertain(value.file) !== undefined && !folder.files.has(value.file)
    if (before !== undefined && (isUncertain || isSameJson(before.value, value))) return []
    return [{ key, observed: before?.modRevision ?? 0, value }]
  })
  const deletes = [...published]
    .filter(([, { value }]) => value.hostId === hostId && !files.has(value.file))
    .map(([key, { modRevision }]): FileChange => ({ key, observed: modRevision }))
  return [...puts, ...deletes]
}

function bareName(name: DeclaredName): string {
  return name.slice(name.indexOf(" ") + 1)
}

function isSameJson(a: object, b: object): boolean {
  return canonicalJson(a as unknown as Json) === canonicalJson(b as unknown as Json)
}
