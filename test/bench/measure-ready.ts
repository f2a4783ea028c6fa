import { type HostOptions, startHostProcess } from "./host-process.ts"
import type { Values } from "./metrics.ts"
import { median } from "./statistics.ts"

const starts = 10

/** Starts hosts, one after the other, each in an empty folder. */
export async function measureReady(options: () => HostOptions): Promise<Values> {
  const tookMs: number[] = []
  for (let started = 0; started < starts; started++) {
    await using host = await startHostProcess({ ...options(), empty: true })
    tookMs.push(host.readyMs)
  }
  return { readyMs: median(tookMs) }
}
