import type { Revision } from "../store/store.ts"
import type { Sweep } from "./sweep.ts"

/**
 * Makes a store that does not bound its history by itself forget what is older than `historyMs`, so that what was
 * deleted takes no room any more, and all of it when there is no space left. A watch that has fallen further behind lists
 * anew.
 */
export class Compaction {
  readonly #historyMs: number
  /** The revisions of earlier passes, oldest first. */
  #marks: { readonly revision: Revision; readonly atMs: number }[] = []

  constructor({ historyMs }: { readonly historyMs: number }) {
    this.#historyMs = historyMs
  }

  /** Takes note of the present revision, and compacts up to the newest one that is old enough. */
  async advance({ store, at, fence }: Sweep): Promise<void> {
    if (store.forgetBefore === undefined) return
    const old = this.#marks.filter(({ atMs }) => at.monotonicMs - atMs >= this.#historyMs)
    const newest = old.at(-1)
    const held = await store.get(fence.key)
    if (held?.modRevision !== fence.modRevision) return
    if (newest !== undefined) await store.forgetBefore(newest.revision)
    this.#marks = this.#marks.slice(old.length)
    const { revision } = await store.list(fence.key, { limit: 1 })
    // Without space no history is worth its room: what is left to a person is to give the room back.
    if ((await store.refusesWrites?.()) !== undefined) await store.forgetBefore(revision)
    this.#marks.push({ revision, atMs: at.monotonicMs })
  }
}
