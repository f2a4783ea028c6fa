import type { ConcurrencyRecord } from "../model/concurrency.ts"
import { keyOf, revisionOf } from "../store/change.ts"
import { follow } from "../store/follow.ts"
import { concurrencyKey, prefixes } from "../store/keys.ts"
import type { Change, Guard, Revision, Store, Write } from "../store/store.ts"

interface Seen {
  readonly record: ConcurrencyRecord | undefined
  readonly at: Revision
}

/** Who holds and awaits concurrency keys, kept current by a watch and by this host's own commits. */
export class ConcurrencyKeys {
  readonly #store: Store
  readonly #onChange: (runIds: readonly string[]) => void
  readonly #seen = new Map<string, Seen>()

  /** `onChange` is called with the runs that wait for a key, after each change of who holds it. */
  constructor(store: Store, onChange: (runIds: readonly string[]) => void) {
    this.#store = store
    this.#onChange = onChange
  }

  /** Resolves when they are known. */
  async start(signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
    await follow(this.#store, {
      list: prefixes.concurrency,
      watch: prefixes.concurrency,
      signal,
      onError,
      onListing: ({ entries, revision }) => {
        const present = new Set(entries.map(({ key }) => key))
        for (const key of this.#seen.keys())
          if (!present.has(key)) this.#take(key, { record: undefined, at: revision })
        for (const entry of entries) this.#observe({ type: "put", entry })
      },
      onChanges: (changes) => {
        for (const change of changes) this.#observe(change)
      },
    })
  }

  /** Who holds and awaits this key, as last seen. */
  get(key: string): ConcurrencyRecord | undefined {
    return this.#seen.get(concurrencyKey(key))?.record
  }

  /** What writes the record, or deletes it, if it is still as it was seen. */
  change(
    key: string,
    record: ConcurrencyRecord | undefined,
  ): { readonly guard: Guard; readonly write: Write } {
    const name = concurrencyKey(key)
    const seen = this.#seen.get(name)
    const modRevision = seen?.record === undefined ? 0 : seen.at
    return {
      guard: { key: name, modRevision },
      write:
        record === undefined
          ? { type: "delete", key: name }
          : { type: "put", key: name, value: JSON.stringify(record) },
    }
  }

  /** Takes in what this host committed. */
  wrote(key: string, record: ConcurrencyRecord | undefined, revision: Revision): void {
    this.#take(concurrencyKey(key), { record, at: revision })
  }

  /** Reads the record anew: what was seen of it may be old. */
  async read(key: string): Promise<void> {
    const name = concurrencyKey(key)
    const { revision, entries } = await this.#store.list(name)
    const entry = entries.find((found) => found.key === name)
    if (entry === undefined) this.#take(name, { record: undefined, at: revision })
    else this.#observe({ type: "put", entry })
  }

  #observe(change: Change): void {
    const record = change.type === "put" ? (JSON.parse(change.entry.value) as ConcurrencyRecord) : undefined
    this.#take(keyOf(change), { record, at: revisionOf(change) })
  }

  #take(name: string, seen: Seen): void {
    const before = this.#seen.get(name)
    if (before !== undefined && before.at >= seen.at) return
    this.#seen.set(name, seen)
    const waiting = seen.record?.queue.map(({ runId }) => runId) ?? []
    if (waiting.length > 0) this.#onChange(waiting)
  }
}
