import type { BigIntStats, Dirent } from "node:fs"
import { readdir, realpath, stat } from "node:fs/promises"
import { join } from "node:path"

/** A declaring file of a folder as `stat` shows it, symbolic links followed. */
export interface ListedFile {
  /** Relative to the folder, with "/" between its parts. */
  readonly file: string
  /** Changes when the content does, unless both were written in the same tick of the file system's clock. */
  readonly fingerprint: string
  /** When content or inode were last touched, in milliseconds since 1970; 0 when that cannot be told. */
  readonly touchedAtMs: number
  /** Why it cannot be read, when that is known already. */
  readonly unreadable?: string
}

/** What a folder holds now; or that it is not there, or not to be read, and why. */
export type FolderListing =
  | {
      readonly type: "present"
      /** Another one when the folder was deleted and made again, or switched. */
      readonly identity: string
      /** Sorted by name. */
      readonly files: readonly ListedFile[]
      /** Subfolders that cannot be read now: nothing can be said of the files in them. */
      readonly unreadableFolders: readonly string[]
    }
  | { readonly type: "missing"; readonly reason: string }

/** Does a file of this name declare anything? Dotfiles and other endings do not. */
export function isDeclaring(name: string): boolean {
  return /^[^.].*\.(?:ya?ml|json)$/i.test(name)
}

/**
 * Lists the declaring files of a folder and its subfolders. Names that start with a dot are passed over, but links may
 * lead into them, as they do where Kubernetes mounts a ConfigMap. A folder that several links lead to is listed once.
 */
export async function listFolder(folder: string): Promise<FolderListing> {
  const files: ListedFile[] = []
  const unreadableFolders: string[] = []
  const visited = new Set<string>()

  async function visitFolder(under: string): Promise<void> {
    const path = join(folder, under)
    const real = await realpath(path)
    if (visited.has(real)) return
    visited.add(real)
    const entries = await readdir(path, { withFileTypes: true })
    await Promise.all(entries.filter(({ name }) => !name.startsWith(".")).map((entry) => visit(under, entry)))
  }

  async function visit(under: string, entry: Dirent): Promise<void> {
    const file = under === "" ? entry.name : `${under}/${entry.name}`
    if (entry.isFile() && !isDeclaring(entry.name)) return
    try {
      const seen = await stat(join(folder, file), { bigint: true })
      if (seen.isDirectory()) await visitFolder(file)
      else if (seen.isFile() && isDeclaring(entry.name)) files.push(listed(file, seen))
    } catch (thrown) {
      const code = codeOf(thrown)
      if (entry.isDirectory()) {
        if (code !== "ENOENT") unreadableFolders.push(file)
      } else if (isDeclaring(entry.name) && (code !== "ENOENT" || entry.isSymbolicLink())) {
        const unreadable = code === "ENOENT" ? "it links to a file that is not there" : code
        files.push({ file, fingerprint: `unreadable ${unreadable}`, touchedAtMs: 0, unreadable })
      }
    }
  }

  try {
    const root = await stat(folder, { bigint: true })
    await visitFolder("")
    files.sort((a, b) => (a.file < b.file ? -1 : 1))
    return {
      type: "present",
      identity: `${root.dev}:${root.ino}:${root.birthtimeNs}`,
      files,
      unreadableFolders,
    }
  } catch (thrown) {
    return { type: "missing", reason: codeOf(thrown) }
  }
}

function listed(file: string, seen: BigIntStats): ListedFile {
  return {
    file,
    fingerprint: [seen.dev, seen.ino, seen.size, seen.mtimeNs, seen.ctimeNs].join(":"),
    touchedAtMs: Math.max(Number(seen.mtimeMs), Number(seen.ctimeMs)),
  }
}

/** The code of a file system's error, such as `ENOENT`; any other error is a bug and is thrown on. */
export function codeOf(thrown: unknown): string {
  if (thrown instanceof Error && "code" in thrown && typeof thrown.code === "string") return thrown.code
  throw thrown
}
