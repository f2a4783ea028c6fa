import { type HostOptions, type HostProcess, startHostProcess } from "./host-process.ts"
import type { Values } from "./metrics.ts"
import { residentMegabytes } from "./process-usage.ts"
import { median } from "./statistics.ts"

const starts = 10
/** A host that has just started still frees what it needed for that. */
const settleMs = 1_000

/** Starts hosts, one after the other, each in an empty folder; the last one is left to settle. */
export async function measureReady(options: () => HostOptions): Promise<Values> {
  const tookMs: number[] = []
  for (let started = 1; started < starts; started++) {
    await using host = await startHostProcess({ ...options(), empty: true })
    tookMs.push(host.readyMs)
  }
  await using last = await startHostProcess({ ...options(), empty: true })
  return { readyMs: median([...tookMs, last.readyMs]), emptyMegabytes: await idleMemory(last) }
}

/** Resident memory of a host that does nothing, in MB. */
export async function idleMemory(host: HostProcess): Promise<number> {
  await Bun.sleep(settleMs)
  return await residentMegabytes(host.pid)
}
