import { stat } from "node:fs/promises"
import { createFolderWatch } from "../files/folder-watch.ts"

const settleMs = 15
const lookMs = 1_000

/** Tells that a driver may have changed. */
export interface DriverWatch extends AsyncDisposable {
  /** Watches these files too, and no others outside of the folder. */
  watchOutside(files: readonly string[]): void
}

/**
 * Watches the drivers folder from now on. Hints are gathered for a few milliseconds, and `onHint` must look for itself.
 * A folder that is missing, or is deleted and made again, is noticed within a second.
 */
export function watchDrivers(folder: string, onHint: () => void): DriverWatch {
  let hinted: Timer | undefined
  let watched: string | undefined
  let disposed = false

  function hint(): void {
    clearTimeout(hinted)
    if (!disposed) hinted = setTimeout(onHint, settleMs)
  }

  const watch = createFolderWatch(folder, {
    onHint: hint,
    ignores: (path) => path.includes("/node_modules") || path.endsWith("/.git"),
  })

  /** Watches anew when the path leads to another folder than before. */
  async function look(): Promise<void> {
    const identity = await identityOf(folder)
    if (disposed || watched === identity) return
    watched = identity
    watch.renew()
    hint()
  }

  const timer = setInterval(() => void look(), lookMs)
  timer.unref()
  void look()

  return {
    watchOutside: (files) => watch.watchOutside(files),
    async [Symbol.asyncDispose]() {
      disposed = true
      clearInterval(timer)
      clearTimeout(hinted)
      await watch[Symbol.asyncDispose]()
    },
  }
}

function identityOf(folder: string): Promise<string> {
  return stat(folder).then(
    // A new folder often gets the number of the one that was deleted.
    ({ dev, ino, birthtimeMs }) => `${dev}:${ino}:${birthtimeMs}`,
    () => "missing",
  )
}
