import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { HostLease } from "../../src/hosts/host-lease.ts"
import { createLoader, type Loader } from "../../src/loader/loader.ts"
import type { HostFile } from "../../src/model/host-file.ts"
import type { PipelineRecord } from "../../src/model/pipeline.ts"
import { hostFileKey, pipelineKey, prefixes } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Revision, Store } from "../../src/store/store.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

export interface LoaderRigOptions {
  readonly hostId?: string
  /** One that other hosts use too. Default: one in memory that is this host's alone. */
  readonly store?: Store
  /** How long the leases of the dead may live after a start. Default: no time at all. */
  readonly settleMs?: number
}

/** A host as far as its pipelines go: a folder of real files, a store, and a loader between them. */
export interface LoaderRig extends AsyncDisposable {
  readonly hostId: string
  readonly store: Store
  readonly folder: string
  /** The file in which a host on a shared store remembers its folder. */
  readonly memory: string
  /** All that the loader said, in order. */
  readonly said: readonly string[]
  /** Starts a loader on the rig's store, or on one that stands before it. Its lease ends when it is disposed. */
  start(store?: Store): Promise<Loader>
  write(file: string, text: string): Promise<void>
  record(name: string): Promise<PipelineRecord | undefined>
  /** What the host publishes of a file. */
  published(file: string): Promise<HostFile | undefined>
  /** The same, as long as there is something wrong in it. */
  faults(file: string): Promise<HostFile | undefined>
  /** Waits until the pipeline of this name has this description; undefined: until it is gone. */
  serves(name: string, description: string | undefined): Promise<void>
  /** The last write of every pipeline and definition, by key. */
  records(): Promise<Readonly<Record<string, Revision>>>
  /** Waits until the folder has been compared with the store anew. */
  looksAgain(): Promise<void>
}

export async function loaderRig(options: LoaderRigOptions = {}): Promise<LoaderRig> {
  const { hostId = "host", settleMs = 0 } = options
  const temp = await tempFolder()
  const folder = join(temp.path, "pipelines")
  const memory = join(temp.path, "pipelines-seen.json")
  await mkdir(folder)
  const store = options.store ?? (await openSqlite(":memory:"))
  const loaders: Loader[] = []
  const said: string[] = []
  const say = (message: string) => void said.push(message)
  let looks = 0

  const read = async <T>(key: string) => {
    const entry = await store.get(key)
    return entry === undefined ? undefined : (JSON.parse(entry.value) as T)
  }
  const rig: LoaderRig = {
    hostId,
    store,
    folder,
    memory,
    said,
    record: (name) => read<PipelineRecord>(pipelineKey(name)),
    published: (file) => read<HostFile>(hostFileKey(hostId, file)),
    async faults(file) {
      const found = await rig.published(file)
      return found?.faults.length === 0 ? undefined : found
    },
    async start(given = store) {
      const lease = await startLease(store, hostId)
      const loader = createLoader({
        folder,
        store: given,
        lease,
        log: { info: say, warn: say, error: say },
        ...(options.store === undefined ? {} : { memory, settleMs }),
      })
      const leased: Loader = {
        start: () => loader.start(),
        faults: () => loader.faults(),
        onFolder: (listener) => loader.onFolder(listener),
        get pipelines() {
          return loader.pipelines
        },
        async [Symbol.asyncDispose]() {
          await loader[Symbol.asyncDispose]()
          await lease[Symbol.asyncDispose]()
        },
      }
      loaders.push(leased)
      await leased.start()
      return leased
    },
    async write(file, text) {
      await mkdir(dirname(join(folder, file)), { recursive: true })
      await writeFile(join(folder, file), text)
    },
    async serves(name, description) {
      await until(`${name} is "${description}"`, async () => {
        const found = await rig.record(name)
        return description === undefined ? found === undefined : found?.pipeline.description === description
      })
    },
    async records() {
      const lists = [await store.list(prefixes.pipelines), await store.list(prefixes.definitions)]
      return Object.fromEntries(
        lists.flatMap(({ entries }) => entries.map(({ key, modRevision }) => [key, modRevision])),
      )
    },
    async looksAgain() {
      const name = `look-of-${hostId}`
      const description = `look ${++looks}`
      await rig.write(`${name}.yaml`, pipelineText(name, description))
      await rig.serves(name, description)
    },
    async [Symbol.asyncDispose]() {
      for (const loader of loaders) await loader[Symbol.asyncDispose]()
      if (options.store === undefined) await store[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
  return rig
}

async function startLease(store: Store, hostId: string): Promise<HostLease> {
  const lease = new HostLease({
    store,
    hostId,
    ttlMs: 600_000,
    describe: () => {
      throw new Error("a host that is only a loader announces nothing")
    },
    onError: (message, cause) => {
      throw new Error(message, { cause })
    },
  })
  await lease.start()
  return lease
}

/** A valid pipeline file. */
export function pipelineText(name: string, description = "first"): string {
  return `name: ${name}\nresource: app\ndescription: ${description}\nsteps:\n  - driver: shell\n    with: { run: make }\n`
}
