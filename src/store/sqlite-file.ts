import { Database, SQLiteError } from "bun:sqlite"
import { ConveyorError, messageOf } from "../errors.ts"
import { checkFormat, format } from "./format.ts"
import { refuseTruncated, refuseVanished, settleIdentity } from "./sqlite-identity.ts"
import type { Revision } from "./store.ts"

/** What stands for a file where there is to be none. */
export const inMemory = ":memory:"

export interface SqliteFileOptions {
  /**
   * `FULL`: an acknowledged commit outlives a power cut. `NORMAL`: it outlives the process, and a power cut takes the
   * last of them. Default `FULL`.
   */
  readonly synchronous?: "FULL" | "NORMAL"
  /** The file takes at most this many pages of 4 KiB; a commit beyond that finds the disk full. Default no limit. */
  readonly pagesMax?: number
}

/**
 * Opens the database, exclusively, and makes its tables where it is new. A file of another format is refused before
 * anything in it is changed. Throws `DATA_IN_USE`, `STORE_CORRUPT` or `STORE_UNAVAILABLE`.
 */
export function openDatabase(file: string, options: SqliteFileOptions): Database {
  let db: Database | undefined
  try {
    if (file !== inMemory) refuseVanished(file)
    db = new Database(file, { create: true, readwrite: true, strict: true })
    prepare(db, file, options)
    return db
  } catch (error) {
    db?.close()
    throw sqliteError(error, file)
  }
}

function prepare(db: Database, file: string, options: SqliteFileOptions): void {
  // First of all, as the lock is taken by the first read and must then be the exclusive one.
  db.run("PRAGMA locking_mode = EXCLUSIVE")
  const isNew = readFormat(db, file) === undefined
  db.run("PRAGMA journal_mode = WAL")
  db.run(`PRAGMA synchronous = ${options.synchronous ?? "FULL"}`)
  db.run("PRAGMA wal_autocheckpoint = 8000")
  db.run("PRAGMA cache_size = -65536")
  if (options.pagesMax !== undefined) db.run(`PRAGMA max_page_count = ${options.pagesMax}`)
  // A write takes the exclusive lock also where all reads so far were served without it.
  db.run("BEGIN EXCLUSIVE")
  if (isNew) createTables(db)
  const identity = file === inMemory ? undefined : settleIdentity(db, file)
  db.run("COMMIT")
  identity?.writeDown()
  if (file === inMemory) return
  db.run("PRAGMA wal_checkpoint(TRUNCATE)")
  refuseTruncated(db, file)
}

/** Undefined for an empty database. Throws `STORE_CORRUPT` unless it is ours and of this format. */
function readFormat(db: Database, file: string): number | undefined {
  const tables = db.query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  if (tables.length === 0) return undefined
  if (!tables.some(({ name }) => name === "meta"))
    throw new ConveyorError("STORE_CORRUPT", `${file} is a database of something else`)
  const found = db.query<{ format: number }, []>("SELECT format FROM meta").get()?.format
  checkFormat(found, file)
  return found
}

function createTables(db: Database): void {
  db.run("CREATE TABLE meta (format INTEGER NOT NULL, revision INTEGER NOT NULL)")
  db.run("INSERT INTO meta VALUES (?, 0)", [format])
  db.run(`CREATE TABLE entries (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    create_revision INTEGER NOT NULL,
    mod_revision INTEGER NOT NULL,
    lease TEXT
  ) WITHOUT ROWID`)
  db.run("CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL")
}

/** The revision the database is at. */
export function readRevision(db: Database): Revision {
  const row = db.query<{ revision: number }, []>("SELECT revision FROM meta").get()
  if (row === null) throw new ConveyorError("STORE_CORRUPT", "The store has lost its revision")
  return row.revision
}

/** What SQLite threw, as an error that a caller can act on. Anything else is a bug and stays what it is. */
export function sqliteError(error: unknown, file: string): unknown {
  if (!(error instanceof SQLiteError)) return error
  const code = error.code ?? ""
  const options = { cause: error }
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED"))
    return new ConveyorError("DATA_IN_USE", `Another process uses ${file}`, options)
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB"))
    return new ConveyorError("STORE_CORRUPT", `${file} cannot be read: ${messageOf(error)}`, options)
  return new ConveyorError("STORE_UNAVAILABLE", `${file}: ${messageOf(error)}`, options)
}
