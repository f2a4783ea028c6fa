import type { Pipeline, PipelineStep } from "../../src/model/pipeline.ts"
import type { Resource } from "../../src/model/resource.ts"
import type { Run } from "../../src/model/run.ts"
import { Retention, type RetentionOptions } from "../../src/retention/retention.ts"
import type { RetentionLimits } from "../../src/retention/sweep.ts"
import {
  activeRunKey,
  claimKey,
  pipelineRevisionKey,
  prefixes,
  resourceKey,
  resourceVersionKey,
  runKey,
  stepKey,
} from "../../src/store/keys.ts"
import type { Store, Write } from "../../src/store/store.ts"

export const dayMs = 86_400_000
/** What these tests take for now. */
export const nowMs = Date.parse("2026-06-01T00:00:00.000Z")

/** Nothing is deleted under these, whatever its age. */
export const keepAll: RetentionLimits = {
  keepRunsForMs: 1_000 * dayMs,
  keepRunsMax: 1_000_000,
  keepVersionsMax: 1_000,
  keepWorkspacesForMs: 1_000 * dayMs,
}

/** A retention at {@link nowMs} that makes a pass when it is told to. */
export function retentionOf(
  store: Store,
  options: Partial<Omit<RetentionOptions, "limits">> & { readonly limits?: Partial<RetentionLimits> } = {},
): Retention {
  return new Retention({
    store,
    data: "/nowhere",
    drivers: { unserved: async () => [], forget: async () => false },
    hostId: Bun.randomUUIDv7(),
    now: () => ({ wallMs: nowMs, monotonicMs: performance.now() }),
    log: { info: () => {}, warn: () => {}, error: () => {} },
    ...options,
    limits: { ...keepAll, ...options.limits },
  })
}

export interface RunRecords {
  /** Days before {@link nowMs}. Undefined: it runs. */
  readonly endedDaysAgo?: number
  readonly resource?: Run["resource"]
  readonly pipelineHash?: string
  readonly drivers?: Readonly<Record<string, string>>
  /** The content of the driver that one of them put work off to. */
  readonly deferredTo?: string
  readonly steps?: number
  /** The runs whose files hold large data that it began with. */
  readonly dataFrom?: readonly string[]
}

const at = (daysAgo: number) => new Date(nowMs - daysAgo * dayMs).toISOString()

/** Puts a run with its steps into the store. Answers its id; later ones are newer. */
export async function putRun(store: Store, records: RunRecords = {}): Promise<string> {
  const { endedDaysAgo, resource, pipelineHash, drivers, deferredTo, steps = 2, dataFrom } = records
  const runId = Bun.randomUUIDv7()
  const run: Run = {
    runId,
    event: "create",
    resource: resource ?? { type: "app", name: runId, version: 1 },
    ...(pipelineHash === undefined ? {} : { pipeline: { name: "release", hash: pipelineHash } }),
    ...(drivers === undefined ? {} : { drivers }),
    ...(deferredTo === undefined ? {} : { deferred: [deferredStep(deferredTo)] }),
    ...(dataFrom === undefined ? {} : { dataFrom }),
    createdAt: at(endedDaysAgo ?? 0),
    startedAt: at(endedDaysAgo ?? 0),
    ...(endedDaysAgo === undefined
      ? { status: "running" }
      : { status: "succeeded", message: "", finishedAt: at(endedDaysAgo) }),
  }
  const stepIds = Array.from({ length: steps }, (_, index) => `s${index}`)
  const writes: Write[] = stepIds.map((id) => ({ type: "put", key: stepKey(runId, id), value: "{}" }))
  if (endedDaysAgo === undefined) {
    writes.push({ type: "put", key: activeRunKey(runId), value: "" })
    writes.push({ type: "put", key: claimKey(runId, "s0"), value: "{}" })
  }
  for (let start = 0; start < writes.length; start += 100)
    await store.commit([], writes.slice(start, start + 100))
  await put(store, runKey(runId), run)
  return runId
}

const deferredStep = (driverHash: string): PipelineStep => ({
  id: "s0.deferred",
  driver: "shell",
  needs: [],
  role: { type: "deferred", of: "s0", driverHash },
  timeoutMs: 1_000,
})

export async function put(store: Store, key: string, value: unknown): Promise<void> {
  const written = await store.commit([], [{ type: "put", key, value: JSON.stringify(value) }])
  if (written === undefined) throw new Error("a commit without guards holds")
}

/** A resource with `versions` versions, the newest under its name unless it was deleted. */
export async function putVersions(
  store: Store,
  name: string,
  { versions, deleted = false }: { readonly versions: number; readonly deleted?: boolean },
): Promise<void> {
  for (let version = 1; version <= versions; version++) {
    const resource: Partial<Resource> = { name, resource: "app", version }
    const isNewest = version === versions && !deleted
    await put(store, isNewest ? resourceKey("app", name) : resourceVersionKey("app", name, version), resource)
  }
}

export async function putRevision(store: Store, hash: string): Promise<void> {
  const pipeline: Partial<Pipeline> = { name: "release", steps: [] }
  await put(store, pipelineRevisionKey(hash), pipeline)
}

/** What is left under a prefix, without it. */
export async function left(store: Store, prefix: string): Promise<string[]> {
  const { entries } = await store.list(prefix)
  return entries.map(({ key }) => key.slice(prefix.length))
}

/** The runs that are left, in the order in which they were made. */
export const leftRuns = (store: Store) => left(store, prefixes.runHeaders)
