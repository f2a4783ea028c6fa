import type { Database } from "bun:sqlite"
import { ConveyorError } from "../errors.ts"
import { bringsNew, DiskRoom, isFull } from "./disk-room.ts"
import { History } from "./history.ts"
import { keyRange } from "./key-range.ts"
import { checkCommit, checkKey, checkText } from "./limits.ts"
import { inMemory, openDatabase, readRevision, type SqliteFileOptions, sqliteError } from "./sqlite-file.ts"
import { FileSight } from "./sqlite-identity.ts"
import { SqliteLeases } from "./sqlite-leases.ts"
import type { Change, Entry, Guard, Lease, Listing, ListOptions, Revision, Store, Write } from "./store.ts"

export interface SqliteOptions extends SqliteFileOptions {
  /** About how much memory the history takes that watches read from. Default 16 MiB. */
  readonly historyBytesMax?: number
  /** A monotonic clock in milliseconds, for leases. */
  readonly now?: () => number
  /**
   * Room that is kept free for what is under way, should the disk be full: then nothing new is taken on, and runs go on
   * to their end. Default none.
   */
  readonly ballastBytes?: number
  /** Told, in a sentence, that the disk is full, and that it has room again. */
  readonly onWarning?: (warning: string) => void
}

/**
 * The store in one SQLite file, or in memory, for one process. Leases live as long as the process: entries left under
 * those of an earlier one are deleted here. Rejects with `DATA_IN_USE` when another process has the file open.
 */
export async function openSqlite(file: string | ":memory:", options: SqliteOptions = {}): Promise<Store> {
  return new SqliteStore(file, openDatabase(file, options), options)
}

interface Row {
  readonly key: string
  readonly value: string
  readonly createRevision: Revision
  readonly modRevision: Revision
  readonly lease: string | null
}

/** Something that waits for the next transaction. */
interface Job {
  readonly work: Commit | LeaseEnd
  readonly resolve: (revision: Revision | undefined) => void
  readonly reject: (error: unknown) => void
}

interface Commit {
  readonly type: "commit"
  readonly guards: readonly Guard[]
  readonly writes: readonly Write[]
}

interface LeaseEnd {
  readonly type: "lease-end"
  readonly id: string
}

const historyBytesMax = 16 * 1024 * 1024
const leaseEndRetryMs = 1_000
/** SQLite sorts every blob behind every text, so this is an end that no key reaches. */
const behindAllKeys = new Uint8Array([0])
const columns = "key, value, create_revision AS createRevision, mod_revision AS modRevision, lease"

class SqliteStore implements Store {
  readonly #file: string
  readonly #db: Database
  readonly #statements: Statements
  readonly #history: History
  readonly #leases: SqliteLeases
  readonly #room: DiskRoom | undefined
  readonly #sight: FileSight | undefined
  #revision: Revision
  #queue: Job[] = []
  #closed = false
  /** What is wrong with the file, as last seen. */
  #fault: string | undefined
  /** Leases whose entries could not be deleted, to be tried again: however often each is given back, once at a time. */
  readonly #endingLater = new Set<string>()

  constructor(file: string, db: Database, options: SqliteOptions) {
    this.#file = file
    this.#db = db
    this.#statements = prepareStatements(db)
    this.#revision = readRevision(db)
    this.#history = new History(this.#revision, { bytesMax: options.historyBytesMax ?? historyBytesMax })
    this.#leases = new SqliteLeases(options.now ?? (() => performance.now()), (id) =>
      this.#endLeaseUnawaited(id),
    )
    this.#sight = file === inMemory ? undefined : new FileSight(file)
    this.#room = this.#createRoom(options)
    for (const { lease } of this.#statements.leases.all()) this.#endLeaseUnawaited(lease)
    this.#flush()
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key)
    return this.#read(() => {
      const row = this.#statements.get.get(key)
      return row === null ? undefined : entryOf(row)
    })
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    checkText("prefix", prefix)
    if (options.after !== undefined) checkText("key", options.after)
    return this.#read(() => {
      if (options.revision !== undefined && options.revision !== this.#revision)
        throw new ConveyorError("COMPACTED", `Revision ${options.revision} is gone: only the present is kept`)
      const range = keyRange(prefix, options)
      if (range === undefined) return { revision: this.#revision, entries: [] }
      const statement = options.reverse === true ? this.#statements.listReverse : this.#statements.list
      const rows = statement.all(range.from, range.to ?? behindAllKeys, options.limit ?? -1)
      return { revision: this.#revision, entries: rows.map(entryOf) }
    })
  }

  async commit(guards: readonly Guard[], writes: readonly Write[]): Promise<Revision | undefined> {
    checkCommit(guards, writes)
    return this.#enqueue({ type: "commit", guards, writes })
  }

  async *watch(prefix: string, since: Revision, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    checkText("prefix", prefix)
    yield* this.#history.watch(prefix, since, signal)
  }

  async grant(ttlMs: number): Promise<Lease> {
    this.#checkOpen()
    return this.#leases.grant(ttlMs)
  }

  async keepAlive(lease: Lease): Promise<boolean> {
    this.#checkOpen()
    return this.#leases.renew(lease.id)
  }

  async revoke(lease: Lease): Promise<void> {
    this.#leases.end(lease.id)
    await this.#endLease(lease.id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#flush()
    this.#closed = true
    this.#leases[Symbol.dispose]()
    this.#room?.[Symbol.dispose]()
    this.#history.close()
    // A statement that is left would keep the file locked behind a closed connection.
    for (const statement of Object.values(this.#statements)) statement.finalize()
    this.#db.close(true)
  }

  #checkOpen(): void {
    if (this.#closed) throw new ConveyorError("STORE_UNAVAILABLE", "The store is closed")
  }

  #read<T>(query: () => T): T {
    this.#checkOpen()
    if (this.#fault !== undefined) this.#lookAtFile()
    try {
      return query()
    } catch (error) {
      throw this.#reasonOf(error)
    }
  }

  #enqueue(work: Job["work"]): Promise<Revision | undefined> {
    this.#checkOpen()
    const { promise, resolve, reject } = Promise.withResolvers<Revision | undefined>()
    const job = { work, resolve, reject }
    if (this.#room?.isShort === true && this.#refuseNew(job, this.#room)) return promise
    if (this.#queue.length === 0) setImmediate(() => this.#flush())
    this.#queue.push(job)
    return promise
  }

  /** Deletes the entries of a lease, however many tries it takes: a full disk refuses deletes too. */
  async #endLease(id: string): Promise<void> {
    try {
      await this.#enqueue({ type: "lease-end", id })
    } catch (error) {
      this.#endLeaseLater(id)
      throw error
    }
  }

  #endLeaseLater(id: string): void {
    if (this.#endingLater.has(id)) return
    this.#endingLater.add(id)
    const again = () => {
      this.#endingLater.delete(id)
      this.#endLeaseUnawaited(id)
    }
    setTimeout(again, leaseEndRetryMs).unref()
  }

  #endLeaseUnawaited(id: string): void {
    if (!this.#closed) this.#endLease(id).catch(() => {})
  }

  /** Throws when the file is not the one that was opened, or is not whole: what is written there would be lost. */
  #lookAtFile(): void {
    this.#fault = this.#sight?.look()
    if (this.#fault !== undefined) throw new ConveyorError("STORE_CORRUPT", this.#fault)
  }

  /** What SQLite says of a file that was cut short is only that something is wrong. */
  #reasonOf(error: unknown): unknown {
    const known = sqliteError(error, this.#file)
    if (known === error) return error
    this.#fault = this.#sight?.look()
    return this.#fault === undefined
      ? known
      : new ConveyorError("STORE_CORRUPT", this.#fault, { cause: error })
  }

  #createRoom({ ballastBytes, onWarning = () => {} }: SqliteOptions): DiskRoom | undefined {
    if (ballastBytes === undefined || this.#file === inMemory) return undefined
    return new DiskRoom({ file: this.#file, ballastBytes, onWarning })
  }

  /** Refuses it when it brings something new into being. */
  #refuseNew({ work, reject }: Job, { refusal }: DiskRoom): boolean {
    if (work.type !== "commit" || !bringsNew(work.writes, (key) => this.#isThere(key))) return false
    reject(refusal)
    return true
  }

  #isThere(key: string): boolean {
    try {
      return this.#statements.revisions.get(key) !== null
    } catch {
      // What cannot be read now cannot be written either.
      return false
    }
  }

  /** Runs all that waits in one transaction, so that it shares one fsync. */
  #flush(): void {
    let jobs = this.#queue
    this.#queue = []
    for (let again = false; jobs.length > 0; again = true) {
      try {
        this.#lookAtFile()
        this.#transact(jobs)
        return
      } catch (error) {
        const room = this.#room
        if (again || !isFull(error) || room?.make(this.#db) !== true) {
          const reason = this.#reasonOf(error)
          for (const job of jobs) job.reject(reason)
          return
        }
        jobs = jobs.filter((job) => !this.#refuseNew(job, room))
      }
    }
  }

  /** Applies the jobs, all or none, and answers them. Throws, with nothing applied or answered, when SQLite does. */
  #transact(jobs: readonly Job[]): void {
    const steps: Change[][] = []
    const answers: (Revision | undefined)[] = []
    const before = this.#revision
    let revision = before
    try {
      this.#statements.begin.run()
      for (const { work } of jobs) {
        const changes = this.#apply(work, revision + 1)
        if (changes !== undefined && changes.length > 0) {
          revision++
          steps.push(changes)
        }
        answers.push(changes === undefined ? undefined : revision)
      }
      if (revision > before) this.#statements.setRevision.run(revision)
      this.#statements.commit.run()
    } catch (error) {
      // SQLite rolls back by itself after some errors, and leaves it to us after others.
      if (this.#db.inTransaction) this.#statements.rollback.run()
      throw error
    }
    this.#revision = revision
    for (const [i, changes] of steps.entries()) this.#history.append(before + 1 + i, changes)
    if (steps.length > 0) this.#history.wake()
    for (const [i, job] of jobs.entries()) job.resolve(answers[i])
  }

  /** Writes `work` as `revision`. Undefined, with nothing written, when it conflicts. */
  #apply(work: Job["work"], revision: Revision): Change[] | undefined {
    switch (work.type) {
      case "commit":
        if (!this.#holds(work)) return undefined
        return this.#write(work.writes, revision)
      case "lease-end":
        return this.#statements.deleteOfLease
          .all(work.id)
          .map(({ key }) => ({ type: "delete", key, modRevision: revision }))
      default:
        return work satisfies never
    }
  }

  #holds({ guards, writes }: Commit): boolean {
    for (const { key, modRevision } of guards) {
      if ((this.#statements.revisions.get(key)?.modRevision ?? 0) !== modRevision) return false
    }
    for (const write of writes) {
      if (write.type === "put" && write.lease !== undefined && !this.#leases.alive(write.lease.id))
        return false
    }
    return true
  }

  #write(writes: readonly Write[], revision: Revision): Change[] {
    const changes: Change[] = []
    for (const write of writes) {
      const { key } = write
      if (write.type === "put") {
        const { value } = write
        const lease = write.lease?.id ?? null
        const createRevision = this.#statements.revisions.get(key)?.createRevision ?? revision
        this.#statements.put.run(key, value, createRevision, revision, lease)
        changes.push({
          type: "put",
          entry: entryOf({ key, value, createRevision, modRevision: revision, lease }),
        })
      } else if (this.#statements.delete.run(key).changes > 0) {
        changes.push({ type: "delete", key, modRevision: revision })
      }
    }
    return changes
  }
}

type Statements = ReturnType<typeof prepareStatements>

function prepareStatements(db: Database) {
  type Page = [from: string, to: string | Uint8Array, limit: number]
  const page = `SELECT ${columns} FROM entries WHERE key >= ? AND key < ? ORDER BY key`
  return {
    begin: db.prepare<null, []>("BEGIN"),
    commit: db.prepare<null, []>("COMMIT"),
    rollback: db.prepare<null, []>("ROLLBACK"),
    setRevision: db.prepare<null, [Revision]>("UPDATE meta SET revision = ?"),
    get: db.prepare<Row, [string]>(`SELECT ${columns} FROM entries WHERE key = ?`),
    list: db.prepare<Row, Page>(`${page} LIMIT ?`),
    listReverse: db.prepare<Row, Page>(`${page} DESC LIMIT ?`),
    revisions: db.prepare<{ createRevision: Revision; modRevision: Revision }, [string]>(
      "SELECT create_revision AS createRevision, mod_revision AS modRevision FROM entries WHERE key = ?",
    ),
    put: db.prepare<null, [string, string, Revision, Revision, string | null]>(
      `INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5)
       ON CONFLICT (key) DO UPDATE SET value = ?2, mod_revision = ?4, lease = ?5`,
    ),
    delete: db.prepare<null, [string]>("DELETE FROM entries WHERE key = ?"),
    leases: db.prepare<{ lease: string }, []>("SELECT DISTINCT lease FROM entries WHERE lease IS NOT NULL"),
    deleteOfLease: db.prepare<{ key: string }, [string]>("DELETE FROM entries WHERE lease = ? RETURNING key"),
  }
}

function entryOf(row: Row): Entry {
  const { key, value, createRevision, modRevision, lease } = row
  return lease === null
    ? { key, value, createRevision, modRevision }
    : { key, value, createRevision, modRevision, lease }
}
