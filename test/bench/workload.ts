import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import type { PipelineSource } from "../../src/model/pipeline.ts"

/** Steps of the pipeline that the load runs. */
export const stepsPerRun = 5
/** Lines that one attempt of the logging driver logs. */
export const logLines = 100_000

/** The pipeline of the load: steps in order that do nothing. */
export const noopPipeline: PipelineSource = {
  name: "noop",
  resource: "item",
  steps: Array.from({ length: stepsPerRun }, (_, index) => ({ id: `step-${index + 1}`, driver: "noop" })),
}

const loggingPipeline: PipelineSource = {
  name: "logging",
  resource: "item",
  steps: [{ id: "log", driver: "logging" }],
}

const noopDriver = `import { defineDriver } from "conveyor"
export default defineDriver({ reconcile() {} })
`

const loggingDriver = `import { defineDriver } from "conveyor"
export default defineDriver({
  async reconcile(ctx) {
    let last
    for (let line = 1; line <= ${logLines}; line++) {
      last = ctx.log("line " + line + " of a build that has much to say about each file it compiles")
      if (line % 1000 === 0) await last
    }
    await last
  },
})
`

/** Where a host of the bench finds its files. */
export interface Folders {
  readonly drivers: string
  readonly pipelines: string
}

/** Writes the drivers and pipelines that are measured into a folder. */
export async function writeWorkload(folder: string): Promise<Folders> {
  const folders = { drivers: join(folder, "drivers"), pipelines: join(folder, "pipelines") }
  await mkdir(folders.drivers)
  await mkdir(folders.pipelines)
  await Bun.write(join(folders.drivers, "noop.ts"), noopDriver)
  await Bun.write(join(folders.drivers, "logging.ts"), loggingDriver)
  const definition = { kind: "ResourceDefinition", name: "item", schema: { type: "object" } }
  await Bun.write(join(folders.pipelines, "item.json"), JSON.stringify(definition))
  for (const pipeline of [noopPipeline, loggingPipeline]) {
    await Bun.write(join(folders.pipelines, `${pipeline.name}.json`), JSON.stringify(pipeline))
  }
  return folders
}
