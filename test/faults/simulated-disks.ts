import { ConveyorError } from "../../src/errors.ts"
import type { DataRef } from "../../src/model/driver.ts"
import type { ResultStore } from "../../src/results/result-store.ts"
import { MemoryResults } from "../rig/memory-results.ts"

export interface SimulatedDisksOptions {
  readonly count: number
  /** Can the host be asked that runs on this disk now? */
  readonly isUp: (index: number) => boolean
  /** How long asking another host takes. */
  readonly delayMs: () => number
}

/** The disks of a fleet, on which large data lies: what one host wrote is there for the next one that runs on its disk. */
export class SimulatedDisks {
  readonly #options: SimulatedDisksOptions
  readonly #disks: ReadonlyMap<string, { readonly index: number; readonly files: MemoryResults }>

  constructor(options: SimulatedDisksOptions) {
    this.#options = options
    const disks = Array.from({ length: options.count }, (_, index) => {
      const folder = folderOf(index)
      return [folder, { index, files: new MemoryResults(folder) }] as const
    })
    this.#disks = new Map(disks)
  }

  has(ref: DataRef): boolean {
    return this.#disks.get(ref.folder)?.files.has(ref) === true
  }

  /** Large data as the host on this disk sees it: what lies on another one, it has to ask that host for. */
  seenFrom(index: number): ResultStore {
    const { isUp, delayMs } = this.#options
    const own = this.#disks.get(folderOf(index))
    if (own === undefined) throw new Error(`there is a disk ${index}`)
    return {
      write: (runId, json) => own.files.write(runId, json),
      read: async (ref) => {
        if (ref.folder === folderOf(index)) return await own.files.read(ref)
        await Bun.sleep(delayMs())
        const other = this.#disks.get(ref.folder)
        if (other === undefined || !isUp(other.index))
          throw new ConveyorError("HOST_GONE", `Host ${ref.hostId} does not answer`)
        return await other.files.read(ref)
      },
    }
  }
}

const folderOf = (index: number) => `disk-${index}`
