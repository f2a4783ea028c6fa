import { ConveyorError } from "../../src/errors.ts"
import type { DataRef } from "../../src/model/driver.ts"
import { type ResultStore, sha256, verified } from "../../src/results/result-store.ts"

/** Large data in memory: for simulations, whose time no disk shares. One may stand for the disk of a host that is killed. */
export class MemoryResults implements ResultStore {
  readonly #folder: string
  readonly #files = new Map<string, Uint8Array>()

  constructor(folder: string) {
    this.#folder = folder
  }

  async write(runId: string, json: string): Promise<DataRef> {
    const content = Buffer.from(json)
    const hash = sha256(content)
    // Disks take time, in which the process may die: then there is nothing.
    await new Promise((resolve) => setTimeout(resolve, 1))
    this.#files.set(`${runId}/${hash}`, content)
    return {
      bytes: content.byteLength,
      sha256: hash,
      runId,
      folder: this.#folder,
      hostId: this.#folder,
    }
  }

  has({ runId, sha256: hash }: DataRef): boolean {
    return this.#files.has(`${runId}/${hash}`)
  }

  async read(ref: DataRef): Promise<Uint8Array> {
    const content = this.#files.get(`${ref.runId}/${ref.sha256}`)
    if (content === undefined)
      throw new ConveyorError("NOT_FOUND", `host ${ref.hostId} does not have it any more`)
    return verified(ref, content)
  }
}
