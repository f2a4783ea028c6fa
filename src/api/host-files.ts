import { type Drift, driftOf } from "../model/drift.ts"
import type { Fault } from "../model/fault.ts"
import type { HostFile } from "../model/host-file.ts"
import { canonicalJson, type Json } from "../model/json.ts"
import type { PipelineRecord } from "../model/pipeline.ts"
import { definitionHash, type ResourceDefinition } from "../model/resource.ts"
import { prefixes } from "../store/keys.ts"
import type { Store } from "../store/store.ts"

/** What the pipelines folders of all live hosts say. */
export async function allHostFiles(store: Store): Promise<readonly HostFile[]> {
  return (await store.list(prefixes.hostFiles)).entries.map(({ value }) => JSON.parse(value) as HostFile)
}

/** What is wrong with a pipeline's file. Where not every host with that file has a fault in it, the fault says which do. */
export function faultsAbout(
  files: readonly HostFile[],
  { name, file }: { readonly name: string; readonly file?: string },
): readonly Fault[] {
  const about = files.filter((one) => one.file === file || one.names.includes(name))
  const hosts = new Set(about.map(({ hostId }) => hostId))
  const found = new Map<string, { readonly fault: Fault; readonly hosts: Set<string> }>()
  for (const { hostId, faults } of about) {
    for (const fault of faults) {
      const key = canonicalJson(fault as unknown as Json)
      const known = found.get(key) ?? { fault, hosts: new Set() }
      found.set(key, known)
      known.hosts.add(hostId)
    }
  }
  return [...found.values()].map(({ fault, hosts: having }) =>
    having.size === hosts.size ? fault : { ...fault, hosts: [...having].sort() },
  )
}

/** A host that has other content of a pipeline than the store. */
export interface PipelineDrift {
  readonly hostId: string
  readonly file: string
  readonly hash: string
}

/** The hosts whose folders have other content of this pipeline. */
export function driftOfPipeline(
  files: readonly HostFile[],
  { pipeline, hash, file }: PipelineRecord,
): readonly PipelineDrift[] {
  const drift = driftOf(files, ({ kind, name }) =>
    kind === "pipeline" && name === pipeline.name && file !== undefined ? hash : undefined,
  )
  return [...drift].flatMap(([hostId, found]) =>
    found.map((one) => ({ hostId, file: one.file, hash: one.here })),
  )
}

/** What each host has otherwise than the store, by its id. */
export async function allDrift(store: Store): Promise<ReadonlyMap<string, readonly Drift[]>> {
  const [files, pipelines, definitions] = await Promise.all([
    allHostFiles(store),
    recordsUnder<PipelineRecord>(store, prefixes.pipelines),
    recordsUnder<ResourceDefinition>(store, prefixes.definitions),
  ])
  return driftOf(files, ({ kind, name }) => {
    const pipeline = kind === "pipeline" ? pipelines.get(name) : undefined
    const definition = kind === "definition" ? definitions.get(name) : undefined
    if (pipeline?.file !== undefined) return pipeline.hash
    return definition?.file === undefined ? undefined : definitionHash(definition)
  })
}

async function recordsUnder<T>(store: Store, prefix: string): Promise<ReadonlyMap<string, T>> {
  const { entries } = await store.list(prefix)
  return new Map(entries.map(({ key, value }) => [key.slice(prefix.length), JSON.parse(value) as T]))
}
