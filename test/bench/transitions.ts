import { commitOf, takeIn } from "../../src/engine/apply.ts"
import type { LocalAttempt } from "../../src/engine/decision.ts"
import { ObservedRun } from "../../src/engine/observe.ts"
import { plan } from "../../src/engine/plan.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import { resolvePipeline } from "../../src/model/resolve-pipeline.ts"
import type { Resource } from "../../src/model/resource.ts"
import { isEnded, type Run } from "../../src/model/run.ts"
import { activeRunKey, hostLeaseKey, resourceKey, resourceVersionKey, runKey } from "../../src/store/keys.ts"
import type { Guard, Lease, Write } from "../../src/store/store.ts"
import { noKeys } from "../rig/no-keys.ts"
import { noopPipeline } from "./workload.ts"

/** One guarded commit of a run. The guards' revisions are made up; which keys they are on is not. */
export interface RecordedTransition {
  readonly guards: readonly Guard[]
  readonly writes: readonly Write[]
}

const hash = "0".repeat(64)
const hostId = Bun.randomUUIDv7()
const fence: Guard = { key: hostLeaseKey(hostId), modRevision: 0 }

/**
 * What is committed for one run of the load, from the submission to the end, as the engine itself plans it: so the
 * floors write what the host writes, byte for byte in size. Each call makes a new run.
 */
export function transitionsOfRun(lease: Lease): readonly RecordedTransition[] {
  const pipeline = loadPipeline()
  const { run, submission } = submit(pipeline)
  const observed = new ObservedRun(run.runId, { complete: true, madeAt: 1 })
  let revision = 1
  observed.wroteHeader(run, revision)
  const transitions = [submission]
  const local = new Map<string, LocalAttempt>()
  for (let header: Run = run; !isEnded(header.status); header = observed.header ?? header) {
    const planned = plan(
      {
        run: header,
        steps: pipeline.steps,
        states: observed.states,
        claims: observed.claims,
        env: {},
        caughtUp: true,
        local,
        left: new Map(),
        host: {
          hostId,
          folder: hostId,
          slots: 64,
          fits: true,
          othersFit: false,
          locate: () => "here",
          readsResults: () => true,
          servedAs: () => [],
          hashOf: () => hash,
          elsewhere: () => false,
          couldStart: () => false,
          listening: () => [],
        },
        concurrencyOf: () => undefined,
        isNewer: () => false,
        dataOf: () => undefined,
        dueMs: () => 0,
      },
      { wallMs: Date.now(), monotonicMs: performance.now() },
    )
    const { guards, writes, taken } = commitOf(observed, planned.transitions, { lease, fence }, noKeys)
    takeIn(observed, taken, { revision: ++revision, keys: noKeys })
    transitions.push({ guards, writes })
    for (const transition of taken) {
      if (transition.type === "settle") local.delete(transition.stepId)
      if (transition.type === "start") local.set(transition.stepId, succeededAttempt)
    }
  }
  return transitions
}

const succeededAttempt: LocalAttempt = {
  attempt: 1,
  deadlineMs: Number.POSITIVE_INFINITY,
  timeoutMs: Number.POSITIVE_INFINITY,
  outcome: { success: true, message: "" },
}

function loadPipeline(): Pipeline {
  const resolved = resolvePipeline(noopPipeline)
  if ("faults" in resolved) throw new Error("the pipeline of the load must be valid")
  return resolved.pipeline
}

/** What the API commits for a new resource. */
function submit(pipeline: Pipeline): { readonly run: Run; readonly submission: RecordedTransition } {
  const runId = Bun.randomUUIDv7()
  const at = new Date().toISOString()
  const type = pipeline.resource
  const resource: Resource = {
    id: Bun.randomUUIDv7(),
    name: `${pipeline.name}-${Bun.randomUUIDv7()}`,
    resource: type,
    pipeline: pipeline.name,
    version: 1,
    metadata: { version: "1" },
    spec: { size: 1 },
    createdAt: at,
    updatedAt: at,
  }
  const run: Run = {
    runId,
    status: "pending",
    event: "create",
    resource: { type, name: resource.name, version: 1 },
    pipeline: { name: pipeline.name, hash },
    createdAt: at,
  }
  const key = resourceKey(type, resource.name)
  const submission = {
    guards: [
      { key, modRevision: 0 },
      { key: resourceVersionKey(type, resource.name, 1), modRevision: 0 },
    ],
    writes: [
      { type: "put", key, value: JSON.stringify(resource) },
      { type: "put", key: runKey(runId), value: JSON.stringify(run) },
      { type: "put", key: activeRunKey(runId), value: "" },
    ],
  } as const
  return { run, submission }
}
