import type { Fault } from "../model/fault.ts"
import { type Declaration, describeKind, type ParsedFile } from "./parse.ts"

/** Names a pipeline or a definition among both: `pipeline release`. */
export type DeclaredName = `${Declaration["kind"]} ${string}`

export const declaredName = (kind: Declaration["kind"], name: string): DeclaredName => `${kind} ${name}`

/** The folder as ownership is decided by it. */
export interface FolderView {
  readonly files: ReadonlyMap<string, ParsedFile>
  /** Files of which nothing can be said now, or not yet: what they own stays theirs. */
  readonly isUncertain: (file: string) => "unreadable" | "vanished" | undefined
}

/** Who holds a name. Without a declaration its last good version goes on. */
export interface Holding {
  readonly file: string
  readonly declaration?: Declaration
}

export interface Ownership {
  readonly holdings: ReadonlyMap<DeclaredName, Holding>
  /** The files that are refused, with all that is wrong in them. */
  readonly refused: ReadonlyMap<string, readonly Fault[]>
}

/**
 * Decides which file holds which name. Pure. A file that is refused keeps what it owned; a name that two files declare
 * stays with its owner, or goes to the first by file name, and the other file is refused; a name whose file has
 * just vanished is free for another file, and kept when none takes it.
 */
export function decideOwnership(folder: FolderView, owned: ReadonlyMap<DeclaredName, string>): Ownership {
  const ownedBy = Map.groupBy(owned, ([, file]) => file)
  const refused = refusedFiles(folder.files, ownedBy)
  const holdings = new Map<DeclaredName, Holding>()

  for (const [name, file] of owned) {
    if (refused.has(file) || folder.isUncertain(file) === "unreadable") holdings.set(name, { file })
    const declaration = folder.files.get(file)?.declarations.find((one) => nameOf(one) === name)
    if (declaration !== undefined) holdings.set(name, { file, declaration })
  }

  for (const parsed of folder.files.values()) {
    const { file } = parsed
    if (refused.has(file)) continue
    const faults = parsed.declarations.flatMap((declaration) => {
      const holder = holdings.get(nameOf(declaration))
      return holder === undefined || holder.file === file ? [] : [takenFault(declaration, { file, holder })]
    })
    if (faults.length === 0) {
      for (const declaration of parsed.declarations) holdings.set(nameOf(declaration), { file, declaration })
      continue
    }
    refused.set(file, faults)
    for (const [name] of ownedBy.get(file) ?? []) {
      const holder = holdings.get(name)
      if (holder === undefined || holder.file === file) holdings.set(name, { file })
    }
  }

  for (const [name, file] of owned) {
    if (!holdings.has(name) && folder.isUncertain(file) === "vanished") holdings.set(name, { file })
  }
  return { holdings, refused }
}

function refusedFiles(
  files: ReadonlyMap<string, ParsedFile>,
  ownedBy: ReadonlyMap<string, unknown>,
): Map<string, readonly Fault[]> {
  const refused = new Map<string, readonly Fault[]>()
  for (const { file, declarations, faults } of files.values()) {
    if (faults.some(({ severity }) => severity !== "warning")) refused.set(file, faults)
    else if (declarations.length === 0 && ownedBy.has(file)) {
      const message = "Expected what the file declared before; it is empty. Delete the file to delete that"
      refused.set(file, [{ message, file, line: 1, column: 1 }])
    }
  }
  return refused
}

function takenFault(declaration: Declaration, at: { file: string; holder: Holding }): Fault {
  const { line, column, kind, name } = declaration
  const { file, declaration: first } = at.holder
  const place = first === undefined ? file : `${file}:${first.line}:${first.column}`
  const message = `The ${describeKind(kind)} "${name}" is already declared in ${place}`
  return { message, path: "/name", file: at.file, line, column }
}

function nameOf(declaration: Declaration): DeclaredName {
  return declaredName(declaration.kind, declaration.name)
}
