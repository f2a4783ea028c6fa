import { constants } from "node:fs"
import { cp, rename, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Run } from "../model/run.ts"

/**
 * The folders that runs work in on this host: one for each run, named by its id, made when something is put into it. A
 * run that goes on behind another one begins with a copy of that one's folder, which itself stays as it was.
 */
export class Workspaces {
  readonly #folder: string
  readonly #copying = new Map<string, Promise<string | undefined>>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** An absolute path; nothing need be there yet. */
  pathOf(runId: string): string {
    return join(this.#folder, runId)
  }

  /**
   * Resolves when the run's folder is as it must be for its next attempt; with a line for the log, when there is something
   * to say about it. Attempts that come together share one copying. Rejects when the copy cannot be made.
   */
  prepare({ runId, workspaceFrom }: Run): Promise<string | undefined> {
    if (workspaceFrom === undefined) return Promise.resolve(undefined)
    const known = this.#copying.get(runId)
    if (known !== undefined) return known
    const copying = this.#copy(workspaceFrom, runId)
    this.#copying.set(runId, copying)
    copying.then(
      () => this.#copying.delete(runId),
      () => this.#copying.delete(runId),
    )
    return copying
  }

  async #copy(from: string, runId: string): Promise<string | undefined> {
    const path = this.pathOf(runId)
    if (await isThere(path)) return undefined
    if (!(await isThere(this.pathOf(from)))) {
      return `the workspace of run ${from} is not on this host; this run begins with an empty one`
    }
    // A copy that was cut short is never taken for a whole one.
    const unfinished = join(dirname(path), `.${runId}`)
    await rm(unfinished, { recursive: true, force: true })
    await cp(this.pathOf(from), unfinished, {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
      mode: constants.COPYFILE_FICLONE,
    })
    await rename(unfinished, path)
    return `the workspace is a copy of that of run ${from}`
  }
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
