import { stat } from "node:fs/promises"
import { type FSWatcher, watch } from "chokidar"

const settleMs = 15
const lookMs = 1_000

/**
 * Tells when something in a folder may have changed. A watcher's events are hints: they are gathered for a few
 * milliseconds, and `onHint` must look for itself. A folder that is missing, or is deleted and made again, is noticed
 * within a second.
 */
export class FolderWatch implements AsyncDisposable {
  readonly #folder: string
  readonly #onHint: () => void
  readonly #timer: Timer
  #watcher: FSWatcher | undefined
  #watched: string | undefined
  #outside: readonly string[] = []
  #hint: Timer | undefined

  constructor(folder: string, onHint: () => void) {
    this.#folder = folder
    this.#onHint = onHint
    this.#timer = setInterval(() => void this.#look(), lookMs)
    this.#timer.unref()
    void this.#look()
  }

  /** Watches these files too, and no others outside of the folder. */
  watchOutside(files: readonly string[]): void {
    const news = files.filter((file) => !this.#outside.includes(file))
    if (news.length > 0) this.#watcher?.add(news)
    this.#outside = files
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    clearTimeout(this.#hint)
    this.#watched = "disposed"
    await this.#watcher?.close()
  }

  /** Watches anew when the path leads to another folder than before. */
  async #look(): Promise<void> {
    const identity = await stat(this.#folder).then(
      // A new folder often gets the number of the one that was deleted.
      ({ dev, ino, birthtimeMs }) => `${dev}:${ino}:${birthtimeMs}`,
      () => "missing",
    )
    if (this.#watched === identity || this.#watched === "disposed") return
    const isFirst = this.#watched === undefined
    this.#watched = identity
    await this.#watcher?.close()
    this.#watcher = undefined
    if (identity !== "missing") this.#watch()
    else if (!isFirst) this.#onHint()
  }

  #watch(): void {
    if (this.#watched === "disposed") return
    this.#watcher = watch([this.#folder, ...this.#outside], {
      ignoreInitial: true,
      ignored: (path) => path.includes("/node_modules") || path.endsWith("/.git"),
    })
    const hint = (): void => {
      clearTimeout(this.#hint)
      this.#hint = setTimeout(this.#onHint, settleMs)
    }
    // What changed before the watcher was ready made no event.
    this.#watcher.on("all", hint).on("ready", hint)
    this.#watcher.on("unlinkDir", (path) => {
      if (path === this.#folder && this.#watched !== "disposed") this.#watched = "missing"
    })
    // Out of watches, or no right to look: the rest of the folder is still watched.
    this.#watcher.on("error", hint)
  }
}
