import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { createLoader, type Loader } from "../../src/loader/loader.ts"
import type { FileFaults } from "../../src/model/file-faults.ts"
import type { PipelineRecord } from "../../src/model/pipeline.ts"
import { fileFaultsKey, pipelineKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Revision, Store } from "../../src/store/store.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/** A store in memory, a folder of real files, and a loader between them. */
export interface LoaderRig extends AsyncDisposable {
  readonly store: Store
  readonly folder: string
  /** All that the loader said, in order. */
  readonly said: readonly string[]
  /** Starts a loader on the rig's store, or on one that stands before it. */
  start(store?: Store): Promise<Loader>
  write(file: string, text: string): Promise<void>
  record(name: string): Promise<PipelineRecord | undefined>
  faults(file: string): Promise<FileFaults | undefined>
  /** Waits until the pipeline of this name has this description; undefined: until it is gone. */
  serves(name: string, description: string | undefined): Promise<void>
  revision(): Promise<Revision>
}

export async function loaderRig(): Promise<LoaderRig> {
  const temp = await tempFolder()
  const folder = join(temp.path, "pipelines")
  await mkdir(folder)
  const store = await openSqlite(":memory:")
  const loaders: Loader[] = []
  const said: string[] = []
  const say = (message: string) => void said.push(message)

  const read = async <T>(key: string) => {
    const entry = await store.get(key)
    return entry === undefined ? undefined : (JSON.parse(entry.value) as T)
  }
  const record = (name: string) => read<PipelineRecord>(pipelineKey(name))

  return {
    store,
    folder,
    said,
    record,
    faults: (file) => read<FileFaults>(fileFaultsKey(file)),
    revision: async () => (await store.list("")).revision,
    async start(given = store) {
      const loader = createLoader({ folder, store: given, log: { info: say, warn: say, error: say } })
      loaders.push(loader)
      await loader.start()
      return loader
    },
    async write(file, text) {
      await mkdir(dirname(join(folder, file)), { recursive: true })
      await writeFile(join(folder, file), text)
    },
    async serves(name, description) {
      await until(`${name} is "${description}"`, async () => {
        const found = await record(name)
        return description === undefined ? found === undefined : found?.pipeline.description === description
      })
    },
    async [Symbol.asyncDispose]() {
      for (const loader of loaders) await loader[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
}

/** A valid pipeline file. */
export function pipelineText(name: string, description = "first"): string {
  return `name: ${name}\nresource: app\ndescription: ${description}\nsteps:\n  - driver: shell\n    with: { run: make }\n`
}
