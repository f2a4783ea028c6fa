import type { Database } from "bun:sqlite"
import { randomInt } from "node:crypto"
import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { basename } from "node:path"
import { ConveyorError } from "../errors.ts"

/*
 * A store must never pass for an empty one, or for another one, because its file was deleted, truncated or replaced. So
 * each has a number of its own: in the file, and in a small file beside it, `<file>-id`.
 */

const idFile = (file: string) => `${file}-id`

/** Throws `STORE_CORRUPT` where there was a store and is none now. Call it before the file is opened, which makes one. */
export function refuseVanished(file: string): void {
  if (knownId(file) === undefined) return
  const found = statSync(file, { throwIfNoEntry: false })
  if (found !== undefined && found.size > 0) return
  throw refusal(file, { fault: found === undefined ? "is gone" : "is empty", otherwise: "begin anew" })
}

/**
 * Gives the database a number where it has none, and writes it down beside it. Throws `STORE_CORRUPT` when another one is
 * written there. Call it within a transaction that is committed next.
 */
export function settleIdentity(db: Database, file: string): { readonly writeDown: () => void } {
  const known = knownId(file)
  let id = db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0
  if (known !== undefined && known !== id) {
    const fault = "is another store than the one that was here"
    throw refusal(file, { fault, otherwise: "go on with this one" })
  }
  if (id === 0) {
    id = randomInt(1, 2 ** 31)
    db.run(`PRAGMA user_version = ${id}`)
  }
  return {
    writeDown: () => {
      if (known !== undefined) return
      // On the disk before it has its name: an empty one after a power cut would be that of no store.
      writeFileSync(`${idFile(file)}.new`, `${id}\n`, { flush: true })
      renameSync(`${idFile(file)}.new`, idFile(file))
    },
  }
}

/** Throws `STORE_CORRUPT` when the file is shorter than what it says of itself. Call it when all is in the file. */
export function refuseTruncated(db: Database, file: string): void {
  const pages = db.query<{ page_count: number }, []>("PRAGMA page_count").get()?.page_count ?? 0
  const pageBytes = db.query<{ page_size: number }, []>("PRAGMA page_size").get()?.page_size ?? 0
  const { size } = statSync(file)
  if (size >= pages * pageBytes) return
  const message = `${file} is truncated: it has ${size} of its ${pages * pageBytes} bytes. Put back a copy of it`
  throw new ConveyorError("STORE_CORRUPT", message)
}

function refusal(
  file: string,
  { fault, otherwise }: { readonly fault: string; readonly otherwise: string },
): ConveyorError {
  const mend = `Put it back, or delete ${basename(idFile(file))} beside it to ${otherwise}`
  return new ConveyorError("STORE_CORRUPT", `${file} ${fault}. ${mend}`)
}

function knownId(file: string): number | undefined {
  try {
    return Number(readFileSync(idFile(file), "utf8"))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}

/** Looks whether an open file is still the one under its path, and whole. */
export class FileSight {
  readonly #file: string
  readonly #device: number
  readonly #inode: number
  #size: number

  constructor(file: string) {
    this.#file = file
    const { dev, ino, size } = statSync(file)
    this.#device = dev
    this.#inode = ino
    this.#size = size
  }

  /** A sentence on what is wrong, or undefined. The file only ever grows. */
  look(): string | undefined {
    const found = statSync(this.#file, { throwIfNoEntry: false })
    if (found === undefined || found.ino !== this.#inode || found.dev !== this.#device) {
      const what = found === undefined ? "deleted" : "replaced"
      return `${this.#file} was ${what} while it was open: nothing is written until it is put back`
    }
    if (found.size < this.#size) {
      const mend = "nothing is written any more. Put back a copy of it and start again"
      return `${this.#file} was truncated while it was open: ${mend}`
    }
    this.#size = found.size
    return undefined
  }
}
