import { open } from "node:fs/promises"
import { join } from "node:path"
import { formatLine } from "../../src/logs/log-text.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import type { Values } from "./metrics.ts"
import { median } from "./statistics.ts"
import { logLines, logMessage } from "./workload.ts"

const spawns = 100
const roundTrips = 1_000
const linesPerSync = 1_000

/** What this machine takes for the parts that both stores stand on: a process, a thread, a synced file. */
export async function measureMachineFloors(): Promise<Values> {
  return {
    spawnMs: await measureSpawn(),
    workerMicroseconds: (await measureWorker()) * 1_000,
    rawLogLines: await measureRawLog(),
  }
}

async function measureSpawn(): Promise<number> {
  return await medianMs(spawns, async () => {
    await Bun.spawn(["sh", "-c", "true"], { stdio: ["ignore", "ignore", "ignore"] }).exited
  })
}

async function measureWorker(): Promise<number> {
  const worker = new Worker(new URL("floor-worker.ts", import.meta.url))
  try {
    const roundTrip = () =>
      new Promise<void>((resolve) => {
        worker.onmessage = () => resolve()
        worker.postMessage({ type: "attempt" })
      })
    await roundTrip()
    return await medianMs(roundTrips, roundTrip)
  } finally {
    worker.terminate()
  }
}

/** Lines as the log store writes them, synced as often as a driver that waits for every thousandth line makes it. */
async function measureRawLog(): Promise<number> {
  await using folder = await tempFolder()
  const file = await open(join(folder.path, "floor.jsonl"), "a")
  try {
    const runId = Bun.randomUUIDv7()
    const startedAt = performance.now()
    for (let first = 1; first <= logLines; first += linesPerSync) {
      let text = ""
      for (let sequence = first; sequence < first + linesPerSync; sequence++) {
        const at = new Date().toISOString()
        const line = { at, step: "log", attempt: 1, driver: "logging", message: logMessage(sequence) }
        text += formatLine({ sequence, ...line, runId, stream: "log" })
      }
      await file.writeFile(text)
      await file.datasync()
    }
    return (logLines * 1_000) / (performance.now() - startedAt)
  } finally {
    await file.close()
  }
}

async function medianMs(count: number, action: () => Promise<void>): Promise<number> {
  const tookMs: number[] = []
  for (let done = 0; done < count; done++) {
    const startedAt = performance.now()
    await action()
    tookMs.push(performance.now() - startedAt)
  }
  return median(tookMs)
}
