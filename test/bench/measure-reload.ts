import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { HostProcess } from "./host-process.ts"
import type { Values } from "./metrics.ts"
import { percentile } from "./statistics.ts"
import { noopPipeline } from "./workload.ts"

const edits = 30
const seenMsMax = 10_000

/** Writes a pipeline file in place again and again, and waits for each edit to be what the host answers. */
export async function measureReload(host: HostProcess): Promise<Values> {
  const latenciesMs: number[] = []
  for (let edit = 1; edit <= edits; edit++) latenciesMs.push(await measureEdit(host, `edit-${edit}`))
  return { reloadP50: percentile(latenciesMs, 50), reloadMax: percentile(latenciesMs, 100) }
}

/** From the end of the write to the answer that holds it. */
async function measureEdit({ url, pipelines }: HostProcess, edit: string): Promise<number> {
  const pipeline = { ...noopPipeline, name: "edited", metadata: { edit } }
  await writeFile(join(pipelines, "edited.json"), JSON.stringify(pipeline))
  const writtenAt = performance.now()
  for (;;) {
    const answer = await (await fetch(`${url}/pipelines/edited`)).text()
    const tookMs = performance.now() - writtenAt
    if (answer.includes(`"${edit}"`)) return tookMs
    if (tookMs > seenMsMax) throw new Error(`the host must see the ${edit}; it answers ${answer}`)
    // A client that asks without a pause would take the core the host needs.
    await Bun.sleep(1)
  }
}
