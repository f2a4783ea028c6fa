/**
 * The store: a revisioned key-value map, and all that the rest of the house knows of a database. Every commit that
 * writes moves the whole store from one revision to the next; a watch delivers those steps in order and without a
 * gap. Backends: `sqlite.ts` (embedded, one process) and `etcd.ts` (several hosts).
 *
 * Everything here may be called concurrently. Calls reject with a `ConveyorError`: `STORE_UNAVAILABLE` when the
 * backend does not answer (a commit may then have happened or not: read before you repeat it), `TOO_LARGE` when a
 * limit below is passed, `INVALID` for a key that is empty, and for a key or value that is not well-formed Unicode.
 */
export interface Store extends AsyncDisposable {
  /** The entry now under `key`, as of some moment between call and answer. */
  get(key: string): Promise<Entry | undefined>

  /**
   * Entries whose keys start with `prefix`, ordered by the bytes of the key in UTF-8, all as of `revision`. Empty
   * `prefix`: all. `after` starts behind that key (before it, with `reverse`), so that the last key of a page begins
   * the next one; pages are each consistent in themselves, not with each other, unless they name the `revision` of
   * the first one. `COMPACTED` when that is gone; an embedded store knows only the present. `limit` defaults to no limit.
   */
  list(prefix: string, options?: ListOptions): Promise<Listing>

  /**
   * Applies all writes if every guard holds, as one revision, which it answers once they are durable; else changes
   * nothing and answers undefined. A conflict is an answer, not an error. No key may be written twice in a commit.
   * A write under a lease that has ended is a conflict too.
   */
  commit(guards: readonly Guard[], writes: readonly Write[]): Promise<Revision | undefined>

  /**
   * Every change under `prefix` after the revision `since`, in order, no gap; changes of one revision come in one
   * batch. Reconnects by itself. Throws `COMPACTED` when the history after `since` is gone: list, then watch from the
   * listing's revision. Ends when `signal` aborts or the store closes. A slow reader loses nothing until its
   * position is compacted.
   */
  watch(prefix: string, since: Revision, signal: AbortSignal): AsyncIterable<readonly Change[]>

  /**
   * Forgets the history before `revision`, which frees what was deleted or written over. Doing it again is no error.
   * Only a store has it whose history grows until somebody does this.
   */
  forgetBefore?(revision: Revision): Promise<void>

  /**
   * Why it takes nothing new at the moment although it answers, in a sentence for people; undefined when it does. Only
   * a store has it that can tell without being written to.
   */
  refusesWrites?(): Promise<string | undefined>

  /** A lease that ends `ttlMs` after the last time it was kept alive; its entries go with it, each seen by watches. */
  grant(ttlMs: number): Promise<Lease>
  /** Renews for another `ttlMs`. False when the lease has ended: then it never comes back. */
  keepAlive(lease: Lease): Promise<boolean>
  /** Ends a lease now. Ending one that has ended is no error. */
  revoke(lease: Lease): Promise<void>
}

/** A position in the store's history. Grows by every commit that writes; not comparable between stores. */
export type Revision = number

/** `createRevision`: since when the key exists without a break. `modRevision`: its last write. */
export interface Entry {
  readonly key: string
  readonly value: string
  readonly createRevision: Revision
  readonly modRevision: Revision
  /** The id of the lease it goes with. */
  readonly lease?: string
}

export interface ListOptions {
  readonly after?: string
  readonly limit?: number
  readonly reverse?: boolean
  readonly revision?: Revision
}

export interface Listing {
  readonly revision: Revision
  readonly entries: readonly Entry[]
}

/** Holds when the key was last written at exactly this revision; 0: when it does not exist. */
export interface Guard {
  readonly key: string
  readonly modRevision: Revision
}

/** Deleting what does not exist changes nothing and is no error. */
export type Write =
  | { readonly type: "put"; readonly key: string; readonly value: string; readonly lease?: Lease }
  | { readonly type: "delete"; readonly key: string }

/** One put or delete, as a watch delivers it. A delete's `modRevision` is the revision of the delete. */
export type Change =
  | { readonly type: "put"; readonly entry: Entry }
  | { readonly type: "delete"; readonly key: string; readonly modRevision: Revision }

export interface Lease {
  readonly id: string
  readonly ttlMs: number
}

/**
 * What a commit may hold, the same for every backend: guards and writes together, and bytes of keys and values.
 * Both lie under etcd's defaults (128 operations per transaction, 1.5 MiB per request).
 */
export const operationsMax = 120
export const commitBytesMax = 1_400_000
