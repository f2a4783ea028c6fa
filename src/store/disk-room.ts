import { type Database, SQLiteError } from "bun:sqlite"
import { ConveyorError } from "../errors.ts"
import { Ballast } from "./ballast.ts"
import { parseRunKey, prefixes, runKey } from "./keys.ts"
import type { Write } from "./store.ts"

export interface DiskRoomOptions {
  /** The store's file; the ballast lies beside it. */
  readonly file: string
  readonly ballastBytes: number
  /** Told, in a sentence, that the disk is full, and that it has room again. */
  readonly onWarning: (warning: string) => void
}

/** The room that a store has for what is under way, should its disk be full. */
export class DiskRoom implements Disposable {
  readonly #ballast: Ballast
  readonly #full: string

  constructor({ file, ballastBytes, onWarning }: DiskRoomOptions) {
    this.#full = `The disk of ${file} is full: runs go on, and nothing new is taken on until there is room`
    const sentences = { full: this.#full, room: `The disk of ${file} has room again` }
    this.#ballast = new Ballast({
      file: `${file}-ballast`,
      bytes: ballastBytes,
      onChange: (state) => onWarning(sentences[state]),
    })
  }

  /** Was the disk full, with no room since? Then nothing new is to be taken on. */
  get isShort(): boolean {
    return this.#ballast.isDropped
  }

  /** Why something new is refused. */
  get refusal(): ConveyorError {
    return new ConveyorError("STORE_UNAVAILABLE", this.#full)
  }

  /** Frees the ballast and what the log of changes takes. False where there is nothing to be freed. */
  make(db: Database): boolean {
    if (!this.#ballast.drop() && !this.isShort) return false
    try {
      db.run("PRAGMA wal_checkpoint(TRUNCATE)")
    } catch {
      // Too full even for that: what is tried again then fails for the same reason, and says it.
    }
    return true
  }

  [Symbol.dispose](): void {
    this.#ballast[Symbol.dispose]()
  }
}

/** Does this commit bring something into being that a full disk has no room for? `isThere`: does the store hold it? */
export function bringsNew(writes: readonly Write[], isThere: (key: string) => boolean): boolean {
  return writes.some((write) => {
    if (write.type !== "put" || write.lease !== undefined) return false
    return !isThere(write.key) && !goesOn(write.key, isThere)
  })
}

/** What may come into being on a full disk, with all that is leased: it takes the runs that are there to their end. */
function goesOn(key: string, isThere: (key: string) => boolean): boolean {
  if (key.startsWith(prefixes.concurrency)) return true
  const of = key.startsWith(prefixes.runSteps) ? parseRunKey(key) : undefined
  return of !== undefined && isThere(runKey(of.runId))
}

/** Did SQLite find the disk full? */
export function isFull(error: unknown): boolean {
  return error instanceof SQLiteError && error.code === "SQLITE_FULL"
}
