import type { Guard, Revision, Write } from "../../src/store/store.ts"
import { FaultyStore } from "../rig/faulty-store.ts"

/** A store on which something happens between what a commit was decided on and the commit. */
export class HookedStore extends FaultyStore {
  /** Awaited by every commit before it is made. */
  beforeCommit: (() => Promise<void>) | undefined

  /** The next `count` commits are made when all of them have been decided on. */
  gatherCommits(count: number): void {
    const { promise, resolve } = Promise.withResolvers<void>()
    let missing = count
    this.beforeCommit = () => {
      if (--missing === 0) {
        this.beforeCommit = undefined
        resolve()
      }
      return promise
    }
  }

  /** This happens once, when the next commit has been decided on. */
  interruptCommit(act: () => Promise<unknown>): void {
    this.beforeCommit = async () => {
      this.beforeCommit = undefined
      await act()
    }
  }

  override async commit(guards: readonly Guard[], writes: readonly Write[]): Promise<Revision | undefined> {
    await this.beforeCommit?.()
    return await super.commit(guards, writes)
  }
}
