import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { codeOf, type ListedFile, listFolder } from "./folder-listing.ts"
import { type ParsedFile, type ParseOptions, parseFile } from "./parse.ts"

/** What a folder says now, every file of it parsed. */
export type FolderContent =
  | {
      readonly type: "present"
      readonly identity: string
      /** By file name, sorted. A file that cannot be read is here with that as its fault. */
      readonly files: ReadonlyMap<string, ParsedFile>
      readonly unreadableFolders: readonly string[]
      /** Is any of it other than at the last reading? True at the first. */
      readonly changed: boolean
    }
  | { readonly type: "missing"; readonly reason: string }

/**
 * A file touched less than this long ago is read again next time even when `stat` shows no difference: two writes in
 * one tick of the file system's clock look the same.
 */
const settledAfterMs = 50

interface KnownFile {
  readonly fingerprint: string
  readonly settled: boolean
  readonly hash: string
  readonly parsed: ParsedFile
}

/**
 * Reads a folder again and again: only what `stat` shows to be touched is read, and only what differs is parsed. One
 * call at a time.
 */
export function createFolderReader(folder: string, now: () => number): () => Promise<FolderContent> {
  let known: ReadonlyMap<string, KnownFile> | undefined
  let unreadableBefore = ""

  async function readListed(listed: ListedFile): Promise<KnownFile | undefined> {
    const before = known?.get(listed.file)
    if (before?.settled && before.fingerprint === listed.fingerprint) return before
    const settled = now() - listed.touchedAtMs > settledAfterMs
    const seen = { fingerprint: listed.fingerprint, settled }
    const text = listed.unreadable ?? (await readText(join(folder, listed.file)))
    if (text === undefined) return undefined
    if (typeof text === "string") return { ...seen, ...unreadableFile(listed.file, text) }
    const hash = new Bun.CryptoHasher("sha256").update(text.bytes).digest("hex")
    if (before?.hash === hash) return { ...before, ...seen }
    return { ...seen, hash, parsed: await parseBytes(listed.file, text.bytes) }
  }

  return async () => {
    const listing = await listFolder(folder)
    if (listing.type === "missing") return listing
    const read = new Map<string, KnownFile>()
    for (const listed of listing.files) {
      const file = await readListed(listed)
      if (file !== undefined) read.set(listed.file, file)
    }
    const { identity, unreadableFolders } = listing
    const unreadable = [...unreadableFolders].sort().join("\n")
    const before = known
    const changed =
      before === undefined ||
      unreadable !== unreadableBefore ||
      before.size !== read.size ||
      [...read].some(([name, { hash }]) => before.get(name)?.hash !== hash)
    known = read
    unreadableBefore = unreadable
    const files = new Map([...read].map(([name, { parsed }]) => [name, parsed]))
    return { type: "present", identity, files, unreadableFolders, changed }
  }
}

/** The bytes of a file, undefined when it is gone meanwhile, or the code of why it cannot be read. */
async function readText(path: string): Promise<{ readonly bytes: Uint8Array } | string | undefined> {
  try {
    return { bytes: await readFile(path) }
  } catch (thrown) {
    const code = codeOf(thrown)
    return code === "ENOENT" ? undefined : code
  }
}

/** Parses what a file holds; what is not UTF-8 is a fault. */
export async function parseBytes(
  file: string,
  bytes: Uint8Array,
  options: ParseOptions = {},
): Promise<ParsedFile> {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    return faulty(file, "Expected text in UTF-8")
  }
  return parseFile(file, text, options)
}

function unreadableFile(file: string, reason: string): Pick<KnownFile, "hash" | "parsed"> {
  return { hash: `unreadable ${reason}`, parsed: faulty(file, `The file cannot be read: ${reason}`) }
}

function faulty(file: string, message: string): ParsedFile {
  return { file, declarations: [], names: [], faults: [{ message, file, line: 1, column: 1 }] }
}
