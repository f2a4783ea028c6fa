import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import type { Fault } from "../model/fault.ts"
import { listFolder } from "./folder-listing.ts"
import { parseBytes } from "./folder-reader.ts"
import { decideOwnership } from "./ownership.ts"
import type { InputFault, ParsedFile, ParseOptions } from "./parse.ts"

/** What a check found in files and folders. */
export interface CheckedFiles {
  readonly files: number
  readonly pipelines: number
  readonly definitions: number
  /** Everything that is wrong, warnings and inputs of steps too, ordered by file and place. */
  readonly faults: readonly Fault[]
  /** What each file says. */
  readonly parsed: readonly ParsedFile[]
  /** The text of a file with faults, for showing the line; undefined for one that cannot be read. */
  readonly textOf: (file: string) => string | undefined
}

/**
 * Checks pipeline files, and all those in folders, together, as a host would load them, without a store. Files are
 * named as the paths given say. Never rejects for what is wrong in the files: that is a fault.
 */
export async function checkFiles(
  paths: readonly string[],
  options: ParseOptions = {},
): Promise<CheckedFiles> {
  const found = (await Promise.all(paths.map(filesUnder))).flat()
  const texts = new Map<string, string>()
  const files = new Map<string, ParsedFile>()
  for (const { file, unreadable } of found) {
    files.set(file, unreadable === undefined ? await readAndParse(file) : unreadableFile(file, unreadable))
  }
  const parsed = [...files.values()]
  const { refused } = decideOwnership({ files, isUncertain: () => undefined }, new Map())
  const declarations = parsed.flatMap((file) => file.declarations)
  return {
    files: files.size,
    pipelines: declarations.filter(({ kind }) => kind === "pipeline").length,
    definitions: declarations.filter(({ kind }) => kind === "definition").length,
    parsed,
    faults: parsed.flatMap(({ file, faults, inputFaults = [] }) =>
      inOrder([...new Set([...faults, ...(refused.get(file) ?? [])])], inputFaults),
    ),
    textOf: (file) => texts.get(file),
  }

  async function readAndParse(file: string): Promise<ParsedFile> {
    try {
      const bytes = await readFile(file)
      const read = await parseBytes(file, bytes, options)
      texts.set(file, bytes.toString("utf8"))
      return read
    } catch (thrown) {
      return unreadableFile(file, reasonOf(thrown))
    }
  }
}

/** The faults of a file with those of its steps' inputs among them, by their places. */
function inOrder(faults: readonly Fault[], inputFaults: readonly InputFault[]): readonly Fault[] {
  if (inputFaults.length === 0) return faults
  return [...faults, ...inputFaults.map(({ fault }) => fault)].sort(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  )
}

interface FoundFile {
  readonly file: string
  readonly unreadable?: string
}

async function filesUnder(path: string): Promise<readonly FoundFile[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [{ file: path }]
  } catch (thrown) {
    return [{ file: path, unreadable: reasonOf(thrown) }]
  }
  const listing = await listFolder(path)
  if (listing.type === "missing") return [{ file: path, unreadable: listing.reason }]
  return [
    ...listing.files.map(({ file, unreadable }) => ({
      file: join(path, file),
      ...(unreadable === undefined ? {} : { unreadable }),
    })),
    ...listing.unreadableFolders.map((folder) => ({ file: join(path, folder), unreadable: "EACCES" })),
  ]
}

function unreadableFile(file: string, reason: string): ParsedFile {
  const message = reason === "ENOENT" ? "There is no such file or folder" : `It cannot be read: ${reason}`
  return { file, declarations: [], names: [], faults: [{ message, file }] }
}

/** The error's code, or its message where it has none. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) throw thrown
  return "code" in thrown ? String(thrown.code) : thrown.message
}
