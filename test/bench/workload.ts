import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"

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

/** The pipeline of one step that logs {@link logLines} lines. */
export const loggingPipeline: PipelineSource = {
  name: "logging",
  resource: "item",
  steps: [{ id: "log", driver: "logging" }],
}

const noopDriver = `import { defineDriver } from "conveyor"
export default defineDriver({ reconcile() {} })
`

/** One line of the logging driver. Its source goes into the driver. */
export function logMessage(line: number): string {
  return `line ${line} of a build that has much to say about each file it compiles`
}

/** It waits for every thousandth line, as one that writes faster than the disk does well to do. */
const loggingDriver = `import { defineDriver } from "conveyor"
${logMessage}
export default defineDriver({
  async reconcile(ctx) {
    for (let line = 1; line <= ${logLines}; line++) {
      const written = ctx.log(logMessage(line))
      if (line % 1_000 === 0) await written
    }
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
