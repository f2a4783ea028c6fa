import { basename, resolve } from "node:path"
import { type FSWatcher, watch } from "chokidar"

/** Tells that something in a folder may have changed. Only a hint: it may come late, twice, or for nothing. */
export interface FolderWatch extends AsyncDisposable {
  /**
   * Starts to watch, or starts anew for a folder that was deleted and made again: the old watch goes deaf. Hints once
   * when it hears, for what changed until then.
   */
  renew(): void
}

/** Hears nothing before the first `renew`. A folder that cannot be watched gives no hints and no error. */
export function createFolderWatch(folder: string, onHint: () => void): FolderWatch {
  const root = resolve(folder)
  let watcher: FSWatcher | undefined
  let closed: Promise<unknown> = Promise.resolve()

  function close(): void {
    closed = Promise.all([closed, watcher?.close()])
  }

  return {
    renew() {
      close()
      watcher = watch(root, {
        ignoreInitial: true,
        // It would keep a deletion back for 100 ms.
        atomic: false,
        // Kubernetes switches a mounted folder by its link "..data"; other dot folders (".git") only cost watches.
        ignored: (path) => path !== root && /^\.(?!\.)/.test(basename(path)),
      })
      watcher.on("raw", onHint).on("all", onHint).on("error", onHint).on("ready", onHint)
    },
    async [Symbol.asyncDispose]() {
      close()
      await closed
    },
  }
}
