import { mkdir, rename } from "node:fs/promises"
import { join } from "node:path"
import type { PipelineSource } from "../../../src/model/pipeline-source.ts"
import type { Random } from "../../rig/random.ts"
import { noteDriver } from "../note-driver.ts"

/** The files that the hosts of a soak share, and edits of them while everything runs. */
export class SoakFiles {
  readonly #folder: string
  readonly #random: Random
  #pipelineEdit = 0
  #driverEdit = 0

  private constructor(folder: string, random: Random) {
    this.#folder = folder
    this.#random = random
  }

  static async in(folder: string, random: Random): Promise<SoakFiles> {
    const files = new SoakFiles(folder, random)
    for (const each of ["drivers", "pipelines"]) await mkdir(join(folder, each), { recursive: true })
    const definition = { kind: "ResourceDefinition", name: "app", schema: { type: "object" } }
    await files.#write("pipelines/app.json", JSON.stringify(definition))
    await files.editDrivers()
    await files.editPipelines()
    return files
  }

  /** Other code of the same drivers. */
  async editDrivers(): Promise<void> {
    this.#driverEdit++
    for (const name of ["work", "audit"]) {
      const resources = name === "audit" ? ["app"] : []
      await this.#write(
        `drivers/${name}.js`,
        `${noteDriver({ resources })}\nexport const edit = ${this.#driverEdit}\n`,
      )
    }
  }

  /** Other steps of the same pipelines. The number of the edit reaches every driver in the metadata. */
  async editPipelines(): Promise<void> {
    const edit = ++this.#pipelineEdit
    await this.#writePipeline({ name: "release", steps: this.#steps({}), metadata: { edit } })
    await this.#writePipeline({ name: "pay", steps: this.#steps({ effects: "once" }), metadata: { edit } })
  }

  #steps(first: Partial<PipelineSource["steps"][number]>): PipelineSource["steps"] {
    const random = this.#random
    const retry = { attempts: 50, backoff: random.below(200) }
    return [
      { id: "first", driver: "work", ...first },
      { id: "left", driver: "work", needs: ["first"], with: { goodFrom: 1 + random.below(3) }, retry },
      ...(random.chance(0.5) ? [{ id: "right", driver: "work", needs: ["first"] }] : []),
      { id: "last", driver: "work", with: { sleepMs: random.pick([10, 200, 1_500]) } },
    ]
  }

  async #writePipeline(source: Omit<PipelineSource, "resource">): Promise<void> {
    await this.#write(`pipelines/${source.name}.json`, JSON.stringify({ ...source, resource: "app" }))
  }

  /** At once: nobody reads half a file. */
  async #write(file: string, text: string): Promise<void> {
    const path = join(this.#folder, file)
    await Bun.write(`${path}.new`, text)
    await rename(`${path}.new`, path)
  }
}
