import pino from "pino"
import type { DriverHost } from "../../src/drivers/driver-host.ts"
import { Engine } from "../../src/engine/engine.ts"
import type { EngineOptions } from "../../src/engine/engine-options.ts"
import { Workspaces } from "../../src/engine/workspaces.ts"
import { type HeldLease, HostLease } from "../../src/hosts/host-lease.ts"
import type { ResourceEvent } from "../../src/model/event.ts"
import type { JsonObject } from "../../src/model/json.ts"
import { canonicalPipeline, type Pipeline } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { resolvePipeline } from "../../src/model/resolve-pipeline.ts"
import type { Resource } from "../../src/model/resource.ts"
import { type Claim, isEnded, type Run, type StepState } from "../../src/model/run.ts"
import { type RunView, viewRun } from "../../src/model/run-view.ts"
import {
  activeRunKey,
  claimKey,
  hostLeaseKey,
  pipelineKey,
  pipelineRevisionKey,
  resourceKey,
  runKey,
  stepKey,
  stepsPrefix,
} from "../../src/store/keys.ts"
import type { Store } from "../../src/store/store.ts"
import { MemoryResults } from "./memory-results.ts"
import { until } from "./until.ts"

/** A pipeline from what a person would write; throws when it has faults. */
export function pipelineOf(source: Omit<PipelineSource, "name" | "resource"> & { name?: string }): Pipeline {
  const resolved = resolvePipeline({ name: "release", resource: "app", ...source })
  if ("faults" in resolved) throw new Error(resolved.faults.map(({ message }) => message).join("\n"))
  return resolved.pipeline
}

export function hashOf(pipeline: Pipeline): string {
  return new Bun.CryptoHasher("sha256").update(canonicalPipeline(pipeline)).digest("hex")
}

export interface Submission {
  readonly pipeline?: Pipeline
  readonly event?: ResourceEvent
  readonly type?: string
  readonly metadata?: JsonObject
  readonly spec?: JsonObject
  /** Default: a new one. */
  readonly runId?: string
}

/** Puts a resource and its run into the store, in one commit, as the API does. Answers the run's id. */
export async function submit(store: Store, submission: Submission = {}): Promise<string> {
  const {
    pipeline,
    event = "create",
    type = pipeline?.resource ?? "app",
    metadata = {},
    spec = {},
    runId = Bun.randomUUIDv7(),
  } = submission
  const at = new Date().toISOString()
  const resource: Resource = {
    id: runId,
    name: `${type}-${runId}`,
    resource: type,
    ...(pipeline === undefined ? {} : { pipeline: pipeline.name }),
    version: 1,
    metadata,
    spec,
    createdAt: at,
    updatedAt: at,
  }
  const run: Run = {
    runId,
    event,
    resource: { type, name: resource.name, version: 1 },
    ...(pipeline === undefined ? {} : { pipeline: { name: pipeline.name, hash: hashOf(pipeline) } }),
    status: "pending",
    createdAt: at,
  }
  const revision = await store.commit(
    [],
    [
      { type: "put", key: resourceKey(type, resource.name), value: JSON.stringify(resource) },
      { type: "put", key: runKey(runId), value: JSON.stringify(run) },
      { type: "put", key: activeRunKey(runId), value: "" },
      ...(pipeline === undefined
        ? []
        : [
            {
              type: "put",
              key: pipelineRevisionKey(hashOf(pipeline)),
              value: JSON.stringify(pipeline),
            } as const,
          ]),
    ],
  )
  if (revision === undefined) throw new Error("a commit without guards holds")
  return runId
}

/** Writes the pipeline under its name, as a mended file does. */
export async function save(store: Store, pipeline: Pipeline): Promise<void> {
  const at = new Date().toISOString()
  const record = { pipeline, hash: hashOf(pipeline), createdAt: at, updatedAt: at }
  await store.commit(
    [],
    [
      { type: "put", key: pipelineKey(pipeline.name), value: JSON.stringify(record) },
      { type: "put", key: pipelineRevisionKey(record.hash), value: canonicalPipeline(pipeline) },
    ],
  )
}

/** The run as the API would show it. */
export async function view(store: Store, runId: string): Promise<RunView> {
  const entry = await store.get(runKey(runId))
  if (entry === undefined) throw new Error(`run ${runId} exists`)
  const run = JSON.parse(entry.value) as Run
  const revision = run.pipeline && (await store.get(pipelineRevisionKey(run.pipeline.hash)))
  const pipeline = revision === undefined ? undefined : (JSON.parse(revision.value) as Pipeline)
  const { entries } = await store.list(stepsPrefix(runId))
  const states = new Map(
    entries.map(({ key, value }) => [key.slice(stepsPrefix(runId).length), JSON.parse(value) as StepState]),
  )
  return viewRun(run, pipeline, states)
}

/** The run once it has ended. */
export async function ended(store: Store, runId: string): Promise<RunView> {
  return await until(`run ${runId} has ended`, async () => {
    const shown = await view(store, runId)
    return isEnded(shown.status) ? shown : undefined
  })
}

/** Asks for the run to be cancelled, as the API does. Does nothing when it has ended. */
export async function cancelRun(store: Store, runId: string, cancel?: Run["cancel"]): Promise<void> {
  await until("the cancel is written", async () => {
    const entry = await store.get(runKey(runId))
    if (entry === undefined) throw new Error(`run ${runId} exists`)
    const run = JSON.parse(entry.value) as Run
    if (isEnded(run.status) || run.cancelRequestedAt !== undefined) return true
    const asked = cancel === undefined ? {} : { cancel }
    const value = JSON.stringify({ ...run, cancelRequestedAt: new Date().toISOString(), ...asked })
    const guard = { key: entry.key, modRevision: entry.modRevision }
    return await store.commit([guard], [{ type: "put", key: entry.key, value }])
  })
}

/** The claim on a step, if somebody holds it. */
export async function claimOn(store: Store, runId: string, stepId: string): Promise<Claim | undefined> {
  const entry = await store.get(claimKey(runId, stepId))
  return entry === undefined ? undefined : (JSON.parse(entry.value) as Claim)
}

/** The state of a step, once it has one of this status. */
export async function stepIn(
  store: Store,
  runId: string,
  stepId: string,
  status: StepState["status"],
): Promise<StepState> {
  return await until(`step ${stepId} is ${status}`, async () => {
    const entry = await store.get(stepKey(runId, stepId))
    const state = entry === undefined ? undefined : (JSON.parse(entry.value) as StepState)
    return state?.status === status ? state : undefined
  })
}

/** A lease that is not kept alive, with its fence, as a host of this name would hold it. */
export async function holdLease(store: Store, hostId: string): Promise<HeldLease> {
  const lease = await store.grant(1_000_000)
  const key = hostLeaseKey(hostId)
  const modRevision = await store.commit([], [{ type: "put", key, value: "", lease }])
  if (modRevision === undefined) throw new Error("a commit without guards holds")
  return { lease, fence: { key, modRevision } }
}

/** An engine with a lease of its own, which it gives back when it has stopped. */
class LeasedEngine extends Engine {
  readonly #lease: HostLease

  constructor(options: EngineOptions) {
    super(options)
    this.#lease = options.lease
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    // With the store away it ends by itself.
    await this.#lease[Symbol.asyncDispose]().catch(() => {})
  }
}

export interface EngineRigOptions extends Partial<Omit<EngineOptions, "lease">> {
  readonly hostId?: string
  readonly leaseTtlMs?: number
}

/** A running engine on this store, with a host id of its own. */
export async function startEngine(
  store: Store,
  drivers: DriverHost,
  {
    hostId = Bun.randomUUIDv7(),
    leaseTtlMs = 10_000,
    log = pino({ level: process.env["TEST_LOG"] ?? "silent" }),
    ...options
  }: EngineRigOptions = {},
): Promise<Engine> {
  const lease = new HostLease({
    store,
    hostId,
    ttlMs: leaseTtlMs,
    describe: () => ({
      hostId,
      folder: hostId,
      version: "test",
      startedAt: "2026-01-01T00:00:00.000Z",
      labels: options.labels ?? {},
      load: { attempts: 0, attemptsMax: 64 },
      drivers: drivers.list(),
      driverFaults: [],
    }),
    onError: (message, cause) => log.error({ err: cause }, message),
  })
  const engine = new LeasedEngine({
    store,
    drivers,
    lease,
    appendLog: async () => {},
    results: new MemoryResults(hostId),
    folder: hostId,
    labels: {},
    graceMs: 100,
    attemptsMax: 64,
    env: {},
    workspaces: new Workspaces("/nowhere"),
    log,
    ...options,
  })
  await lease.start()
  await engine.start()
  return engine
}
