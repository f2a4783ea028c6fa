import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Fault } from "../model/fault.ts"
import { createCatalogue } from "./catalogue.ts"
import type { KnownInput } from "./driver-inputs.ts"
import { createDriverLoader } from "./driver-loader.ts"
import { endOrphans } from "./end-processes.ts"
import { createDriverRunners } from "./runners.ts"
import { shippedDrivers, workerEntry } from "./shipped.ts"
import { childrenGraceMs } from "./thread.ts"

/** The drivers that a host with this folder has. */
export interface LoadedInputs {
  /** Sorted. Files that are no drivers for what is wrong with them are among them, by their names. */
  readonly names: readonly string[]
  readonly inputs: readonly KnownInput[]
  /** What is wrong in the folder. */
  readonly faults: readonly Fault[]
}

/**
 * Loads the drivers of a folder as a host does, each in a worker, and asks what they take. Their modules run for it, none
 * of them longer than `loadMsMax` (default: as long as on a host). When it answers, the workers and what they have
 * started are gone; nothing is written but in a temporary folder.
 */
export async function loadInputs(
  folder: string,
  options: { readonly loadMsMax?: number } = {},
): Promise<LoadedInputs> {
  const { sdk, drivers } = await shippedDrivers()
  const data = await mkdtemp(join(tmpdir(), "conveyor-drivers-"))
  const runners = createDriverRunners({
    entry: workerEntry,
    data,
    heapBytesMax: Number.MAX_SAFE_INTEGER,
    onHeap() {},
  })
  try {
    const loader = createDriverLoader({ folder, data, sdk, runners, ...options })
    const shipped = new Map(drivers.map(({ hash, schemas }) => [hash, schemas]))
    const builtin = { resources: [], type: "module", source: "builtin" } as const
    const catalogue = createCatalogue({
      folder,
      shipped: drivers.map(({ name, hash }) => ({ name, hash, ...builtin })),
      loader,
    })
    await catalogue.rescan()
    const faults = catalogue.faults()
    const found = catalogue.list()
    const faulty = faults.flatMap(({ file = "", severity }) => (severity === "warning" ? [] : [nameOf(file)]))
    return {
      names: [...new Set([...found.map(({ name }) => name), ...faulty])].sort(),
      inputs: found.flatMap(({ name, hash, source }) => {
        const inputSchema = (shipped.get(hash) ?? loader.schemasOf(hash))?.inputSchema
        // What is made of somebody's schema may be stricter than it: a fallback, say, is not seen.
        return inputSchema === undefined ? [] : [{ name, inputSchema, isCertain: source === "builtin" }]
      }),
      faults,
    }
  } finally {
    runners[Symbol.dispose]()
    // What drivers have started by themselves ends with their workers.
    await endOrphans(data, { graceMs: childrenGraceMs })
    await rm(data, { recursive: true, force: true })
  }
}

function nameOf(file: string): string {
  return file.replace(/\.[^.]*$/, "")
}
