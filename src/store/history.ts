import { ConveyorError } from "../errors.ts"
import { keyOf } from "./change.ts"
import type { Change, Revision } from "./store.ts"

interface Step {
  readonly revision: Revision
  readonly changes: readonly Change[]
  readonly bytes: number
}

/** How many changes a watch hands over at once, give or take the rest of a revision. */
const batchMax = 1_000

/**
 * The latest changes of a store, kept in memory up to a number of bytes. A watch is a position in it, not a queue of
 * its own: however slow its reader, it costs nothing, and learns that it fell behind when its position is gone.
 */
export class History {
  readonly #bytesMax: number
  /** Oldest first. Those before `#first` are forgotten and wait for the array to be cut. */
  #steps: Step[] = []
  #first = 0
  #bytes = 0
  /** Everything after this revision is still here. */
  #compacted: Revision
  /** One for each live watch: makes it look again. */
  readonly #wakers = new Set<() => void>()
  #closed = false

  constructor(revision: Revision, options: { readonly bytesMax: number }) {
    this.#compacted = revision
    this.#bytesMax = options.bytesMax
  }

  /** Adds the changes of one revision, which must be newer than all before. Watches see them after {@link wake}. */
  append(revision: Revision, changes: readonly Change[]): void {
    const bytes = bytesOf(changes)
    this.#steps.push({ revision, changes, bytes })
    this.#bytes += bytes
    while (this.#bytes > this.#bytesMax) this.#forgetOldest()
    if (this.#first > 1_024 && this.#first * 2 > this.#steps.length) {
      this.#steps = this.#steps.slice(this.#first)
      this.#first = 0
    }
  }

  /** Lets every watch see what was appended. */
  wake(): void {
    for (const waker of this.#wakers) waker()
  }

  /** Ends every watch. */
  close(): void {
    this.#closed = true
    this.wake()
  }

  /** See `Store.watch`. */
  async *watch(prefix: string, since: Revision, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    let position = since
    let wake = () => {}
    const waker = () => wake()
    this.#wakers.add(waker)
    signal.addEventListener("abort", waker)
    try {
      while (!signal.aborted && !this.#closed) {
        const { changes, upTo } = this.#read(prefix, position)
        position = upTo
        if (changes.length > 0) yield changes
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    } finally {
      this.#wakers.delete(waker)
      signal.removeEventListener("abort", waker)
    }
  }

  /** Changes under `prefix` after `since`, a batch of them or all there are; and how far that was. */
  #read(prefix: string, since: Revision): { changes: Change[]; upTo: Revision } {
    if (since < this.#compacted) {
      throw new ConveyorError(
        "COMPACTED",
        `Changes after revision ${since} are gone, the oldest known come after ${this.#compacted}`,
      )
    }
    const changes: Change[] = []
    let upTo = since
    for (let i = this.#indexAfter(since); i < this.#steps.length && changes.length < batchMax; i++) {
      const step = this.#steps[i]
      if (step === undefined) throw new Error("A step of the history must be where its index says")
      for (const change of step.changes) if (keyOf(change).startsWith(prefix)) changes.push(change)
      upTo = step.revision
    }
    return { changes, upTo }
  }

  /** Where the first step after `since` is, or would be. */
  #indexAfter(since: Revision): number {
    let low = this.#first
    let high = this.#steps.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const step = this.#steps[middle]
      if (step !== undefined && step.revision <= since) low = middle + 1
      else high = middle
    }
    return low
  }

  #forgetOldest(): void {
    const oldest = this.#steps[this.#first]
    if (oldest === undefined) throw new Error("A history that holds bytes must hold a step")
    this.#bytes -= oldest.bytes
    this.#compacted = oldest.revision
    // The array still holds the step until it is cut; its changes must not stay in memory that long.
    this.#steps[this.#first] = { revision: oldest.revision, changes: [], bytes: 0 }
    this.#first++
  }
}

/** About what the changes take in memory. */
function bytesOf(changes: readonly Change[]): number {
  let bytes = 100
  for (const change of changes) {
    bytes += 150 + keyOf(change).length
    if (change.type === "put") bytes += change.entry.value.length
  }
  return bytes
}
