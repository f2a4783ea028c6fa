import type { HostRecord } from "../model/host.ts"
import type { PipelineRecord } from "../model/pipeline.ts"
import { driversOf, type Run } from "../model/run.ts"
import { prefixes, resourceVersionKey } from "../store/keys.ts"
import type { Revision, Store } from "../store/store.ts"
import { pages, type Sweep } from "./sweep.ts"

/** What runs, pipelines and live hosts refer to: none of it may go. */
export interface References {
  /** Everything that was written up to this revision and is still there has been looked at. */
  readonly revision: Revision
  /** Hashes of pipeline revisions. */
  readonly pipelines: ReadonlySet<string>
  /** Hashes of drivers that runs are pinned to, or that a live host serves. */
  readonly drivers: ReadonlySet<string>
  /** Keys of resource versions. */
  readonly versions: ReadonlySet<string>
}

/** Reads all headers of runs, pipelines and host records. */
export async function findReferences(sweep: Pick<Sweep, "store" | "pause">): Promise<References> {
  const pipelines = new Set<string>()
  const drivers = new Set<string>()
  const versions = new Set<string>()
  const { revision } = await sweep.store.list(prefixes.runHeaders, { limit: 1 })
  for await (const run of allOf<Run>(sweep, prefixes.runHeaders)) {
    if (run.pipeline !== undefined) pipelines.add(run.pipeline.hash)
    for (const hash of driversOf(run)) drivers.add(hash)
    versions.add(resourceVersionKey(run.resource.type, run.resource.name, run.resource.version))
  }
  for await (const { hash } of allOf<PipelineRecord>(sweep, prefixes.pipelines)) pipelines.add(hash)
  for await (const host of allOf<HostRecord>(sweep, prefixes.hosts)) {
    for (const { hash } of host.drivers) drivers.add(hash)
  }
  return { revision, pipelines, drivers, versions }
}

async function* allOf<T>(
  sweep: { readonly store: Store; readonly pause: () => Promise<void> },
  prefix: string,
): AsyncGenerator<T> {
  for await (const { entries } of pages(sweep, prefix)) {
    for (const { value } of entries) yield JSON.parse(value) as T
  }
}
