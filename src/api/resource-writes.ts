import { ConveyorError } from "../errors.ts"
import type { ResourceEvent } from "../model/event.ts"
import type { StartedAnswer } from "../model/idempotency.ts"
import type { Resource, ResourceSource } from "../model/resource.ts"
import type { Run } from "../model/run.ts"
import {
  activeRunKey,
  resourceKey,
  resourceVersionKey,
  resourceVersionsPrefix,
  runKey,
} from "../store/keys.ts"
import { commitBytesMax, type Entry, type Guard, type Store, type Write } from "../store/store.ts"
import type { FirstUse } from "./idempotency.ts"
import type { RunPlan } from "./resource-kinds.ts"

/** One change of a resource that is to be made. */
export interface ResourceChange {
  readonly store: Store
  /** The id its run gets, when one starts. */
  readonly runId: string
  readonly plan: RunPlan
  /** ISO 8601. */
  readonly at: string
}

/** What who creates a resource is told. */
export interface CreatedAnswer extends StartedAnswer {
  readonly name: string
  readonly version: string
}

/**
 * Creates a resource and its run as one commit; `CONFLICT` when there is one, undefined when another request with the
 * same key was first. Counts on from the versions of a deleted one of that name, which it looks for only when the first
 * try shows that there are any.
 */
export async function createResource(
  change: ResourceChange,
  { source, first }: { readonly source: ResourceSource; readonly first: FirstUse<CreatedAnswer> },
): Promise<CreatedAnswer | undefined> {
  const { store } = change
  const key = resourceKey(source.resource, source.name)
  for (let version = 1; ; version = (await lastVersion(store, source)) + 1) {
    const resource = newVersion(source, {
      id: Bun.randomUUIDv7(),
      version,
      createdAt: change.at,
      at: change.at,
    })
    const answer = {
      name: resource.name,
      runid: change.plan.starts ? change.runId : "",
      message: "Resource created successfully",
      version: String(version),
    }
    const guards: readonly Guard[] = [
      ...first.guards,
      { key, modRevision: 0 },
      { key: resourceVersionKey(source.resource, source.name, version), modRevision: 0 },
    ]
    const writes: readonly Write[] = [
      { type: "put", key, value: JSON.stringify(resource) },
      ...runWrites(change, resource, "create"),
      ...first.writes(answer),
    ]
    if ((await store.commit(guards, writes)) !== undefined) return answer
    if (await first.isLost()) return undefined
    if ((await store.get(key)) !== undefined) {
      throw new ConveyorError("CONFLICT", `The ${source.resource} "${source.name}" exists already`)
    }
  }
}

/** Writes the next version and keeps the one before; undefined when it changed meanwhile: read it again. */
export async function updateResource(
  change: ResourceChange,
  { entry, source }: { readonly entry: Entry; readonly source: ResourceSource },
): Promise<Resource | undefined> {
  const before = parseResource(entry)
  const resource = newVersion(source, {
    id: before.id,
    version: before.version + 1,
    createdAt: before.createdAt,
    at: change.at,
  })
  const guards = [{ key: entry.key, modRevision: entry.modRevision }]
  const put = { type: "put", key: entry.key, value: JSON.stringify(resource) } as const
  const kept = keep(before, entry.value)
  const writes = [put, ...runWrites(change, resource, "update")]
  if (!fitTogether(put, kept)) {
    // Two large versions are over what one commit takes. Keeping the older one first says nothing that is not so.
    if ((await change.store.commit(guards, [kept])) === undefined) return undefined
    return (await change.store.commit(guards, writes)) === undefined ? undefined : resource
  }
  return (await change.store.commit(guards, [...writes, kept])) === undefined ? undefined : resource
}

/** Deletes a resource and keeps its last version; undefined when it changed meanwhile: read it again. */
export async function deleteResource(change: ResourceChange, entry: Entry): Promise<Resource | undefined> {
  const resource = parseResource(entry)
  const revision = await change.store.commit(
    [{ key: entry.key, modRevision: entry.modRevision }],
    [
      { type: "delete", key: entry.key },
      keep(resource, entry.value),
      ...runWrites(change, resource, "delete"),
    ],
  )
  return revision === undefined ? undefined : resource
}

/** Reads the entry of a resource or of one of its versions. */
export function parseResource(entry: Entry): Resource {
  return JSON.parse(entry.value) as Resource
}

/** Older clients read the version from the metadata, as a string. */
function newVersion(
  source: ResourceSource,
  { id, version, createdAt, at }: { id: string; version: number; createdAt: string; at: string },
): Resource {
  return {
    id,
    name: source.name,
    resource: source.resource,
    ...(source.pipeline === undefined ? {} : { pipeline: source.pipeline }),
    version,
    metadata: { ...source.metadata, version: String(version) },
    spec: source.spec ?? {},
    createdAt,
    updatedAt: at,
  }
}

/** Do both go into one commit, with some room for the run beside them? */
function fitTogether(...puts: readonly (Write & { readonly type: "put" })[]): boolean {
  const bytes = puts.reduce((sum, { value }) => sum + Buffer.byteLength(value), 0)
  return bytes < commitBytesMax - 10_000
}

function keep(resource: Resource, value: string): Write & { readonly type: "put" } {
  return {
    type: "put",
    key: resourceVersionKey(resource.resource, resource.name, resource.version),
    value,
  }
}

function runWrites(change: ResourceChange, resource: Resource, event: ResourceEvent): readonly Write[] {
  if (!change.plan.starts) return []
  return startWrites({
    runId: change.runId,
    status: "pending",
    event,
    resource: { type: resource.resource, name: resource.name, version: resource.version },
    ...(change.plan.pipeline === undefined ? {} : { pipeline: change.plan.pipeline }),
    createdAt: change.at,
  })
}

/** What puts a new run on the belt. */
export function startWrites(run: Run & { readonly status: "pending" }): readonly Write[] {
  return [
    { type: "put", key: runKey(run.runId), value: JSON.stringify(run) },
    { type: "put", key: activeRunKey(run.runId), value: "" },
  ]
}

/** The last version that was kept; 0 when none was. */
async function lastVersion(store: Store, { resource, name }: ResourceSource): Promise<number> {
  const { entries } = await store.list(resourceVersionsPrefix(resource, name), { limit: 1, reverse: true })
  const [last] = entries
  return last === undefined ? 0 : parseResource(last).version
}
