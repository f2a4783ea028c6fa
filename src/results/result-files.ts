import { mkdir, readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { ConveyorError, messageOf } from "../errors.ts"
import { syncFolder, writeDurably } from "../files/write-durably.ts"
import type { DataRef } from "../model/driver.ts"
import { type ResultStore, sha256, verified } from "./result-store.ts"

export interface ResultFilesOptions {
  /** Where the files lie: one folder for each run in it, and in that one file for each content, named by its hash. */
  readonly path: string
  /** The id of the data folder. */
  readonly folder: string
  readonly hostId: string
}

/** The large data of results in this host's data folder. */
export class ResultFiles implements ResultStore {
  readonly #options: ResultFilesOptions
  #root: Promise<void> | undefined

  constructor(options: ResultFilesOptions) {
    this.#options = options
  }

  /** Where a content lies, if it is here. Both names must be checked: they are parts of a path. */
  fileOf(ref: Pick<DataRef, "runId" | "sha256">): string {
    return fileIn(this.#options.path, ref)
  }

  async write(runId: string, json: string): Promise<DataRef> {
    const { folder, hostId, path } = this.#options
    const content = Buffer.from(json)
    const ref = { bytes: content.byteLength, sha256: sha256(content), runId, folder, hostId }
    const file = this.fileOf(ref)
    try {
      await this.#makeRoot()
      await mkdir(dirname(file), { recursive: true })
      await writeDurably(file, content)
      // Whoever made the run's folder may not have come to this yet.
      await syncFolder(path)
      return ref
    } catch (cause) {
      const message = `the driver's data (${ref.bytes} bytes) could not be written: ${messageOf(cause)}`
      throw new ConveyorError("STORE_UNAVAILABLE", message, { cause })
    }
  }

  /** Once for each process: one before may have died before the folder's name was durable. */
  #makeRoot(): Promise<void> {
    const { path } = this.#options
    const make = async () => {
      await mkdir(path, { recursive: true })
      await syncFolder(dirname(path))
    }
    this.#root ??= make().catch((error: unknown) => {
      this.#root = undefined
      throw error
    })
    return this.#root
  }

  async read(ref: DataRef): Promise<Uint8Array> {
    try {
      return verified(ref, await readFile(this.fileOf(ref)))
    } catch (cause) {
      if (cause instanceof ConveyorError) throw cause
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") throw notThere(ref, cause)
      // It may be readable again in a moment: too many open files, say.
      const message = `Host ${ref.hostId} cannot read it: ${messageOf(cause)}`
      throw new ConveyorError("HOST_GONE", message, { cause })
    }
  }
}

/** Where a content lies in a folder of results. */
export function fileIn(path: string, { runId, sha256: hash }: Pick<DataRef, "runId" | "sha256">): string {
  return join(path, runId, `${hash}.json`)
}

/** The data folder is there, and this is not in it. */
export function notThere({ hostId }: DataRef, cause?: unknown): ConveyorError {
  const message = `host ${hostId} does not have it any more`
  return new ConveyorError("NOT_FOUND", message, cause === undefined ? {} : { cause })
}
