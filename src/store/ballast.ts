import { randomBytes } from "node:crypto"
import { rmSync, statSync } from "node:fs"
import { open, rename, rm, statfs } from "node:fs/promises"
import { dirname } from "node:path"

export interface BallastOptions {
  readonly file: string
  readonly bytes: number
  /** The disk is full, or has room again. */
  readonly onChange: (state: "full" | "room") => void
}

/** How often the disk is looked at, for as long as there is no ballast. */
const lookMs = 1_000
const chunkBytes = 1024 * 1024

/**
 * A file that only takes room. On a full disk even a delete fails, because it is written down before it frees anything:
 * then the ballast is dropped, and what is under way has its room. It is made again as soon as twice as much is free.
 *
 *   none ──(room)──► held ──drop──► dropped ──(room again)──► held
 *
 * The file stays when the process ends.
 */
export class Ballast implements Disposable {
  readonly #options: BallastOptions
  #state: "none" | "held" | "dropped" = "none"
  #timer: Timer | undefined
  #disposed = false

  /** Takes over what an earlier process left. It is made soon, but not at once: a host that lives for a second needs none. */
  constructor(options: BallastOptions) {
    this.#options = options
    if (statSync(options.file, { throwIfNoEntry: false })?.size === options.bytes) this.#state = "held"
    else this.#lookLater()
  }

  /** The disk was full, and has not had room since. */
  get isDropped(): boolean {
    return this.#state === "dropped"
  }

  /** Frees its room. Answers whether there was any to free. */
  drop(): boolean {
    if (this.#state !== "held") return false
    this.#state = "dropped"
    rmSync(this.#options.file, { force: true })
    this.#lookLater()
    this.#options.onChange("full")
    return true
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    clearTimeout(this.#timer)
  }

  #lookLater(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#look(), lookMs)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const made = await this.#make().catch(() => false)
    if (this.#disposed) return
    if (!made) this.#lookLater()
    else {
      const was = this.#state
      this.#state = "held"
      if (was === "dropped") this.#options.onChange("room")
    }
  }

  /** False when there is too little room. Never takes the last of it from others. */
  async #make(): Promise<boolean> {
    const { file, bytes } = this.#options
    const { bavail, bsize } = await statfs(dirname(file))
    if (bavail * bsize < 2 * bytes) return false
    const unfinished = `${file}.new`
    try {
      await using handle = await open(unfinished, "w")
      // A disk that compresses makes nothing of zeros.
      const chunk = randomBytes(chunkBytes)
      for (let left = bytes; left > 0; )
        left -= (await handle.write(chunk, 0, Math.min(left, chunkBytes))).bytesWritten
      await handle.sync()
      await rename(unfinished, file)
      return true
    } catch (error) {
      await rm(unfinished, { force: true })
      throw error
    }
  }
}
