import { resolve } from "node:path"
import { type FSWatcher, watch } from "chokidar"

/** Tells that something in a folder may have changed. Only a hint: it may come late, twice, or for nothing. */
export interface FolderWatch extends AsyncDisposable {
  /**
   * Starts to watch, or starts anew for a folder that was deleted and made again: the old watch goes deaf. Hints once
   * when it hears, for what changed until then.
   */
  renew(): void
  /** Watches these files too, and no others outside of the folder. */
  watchOutside(files: readonly string[]): void
}

export interface FolderWatchOptions {
  readonly onHint: () => void
  /** Whether what has this path, which is not the folder itself, is not worth a watch. */
  readonly ignores: (path: string) => boolean
}

/** Hears nothing before the first `renew`. A folder that cannot be watched gives no hints and no error. */
export function createFolderWatch(folder: string, { onHint, ignores }: FolderWatchOptions): FolderWatch {
  const root = resolve(folder)
  let outside: readonly string[] = []
  let watcher: FSWatcher | undefined
  let closed: Promise<unknown> = Promise.resolve()

  function close(): void {
    closed = Promise.all([closed, watcher?.close()])
    watcher = undefined
  }

  return {
    renew() {
      close()
      watcher = watch([root, ...outside], {
        ignoreInitial: true,
        // It would keep a deletion back for 100 ms.
        atomic: false,
        ignored: (path) => path !== root && ignores(path),
      })
      watcher.on("raw", onHint).on("all", onHint).on("error", onHint).on("ready", onHint)
    },
    watchOutside(files) {
      const news = files.filter((file) => !outside.includes(file))
      const olds = outside.filter((file) => !files.includes(file))
      outside = files
      if (news.length > 0) watcher?.add(news)
      if (olds.length > 0) watcher?.unwatch(olds)
    },
    async [Symbol.asyncDispose]() {
      close()
      await closed
    },
  }
}
