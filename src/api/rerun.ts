import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import type { StartedAnswer } from "../model/idempotency.ts"
import { nameSchema } from "../model/name.ts"
import { nearestName } from "../model/nearest.ts"
import type { Pipeline, PipelineRecord, PipelineStep } from "../model/pipeline.ts"
import { keptSteps, type RerunPart } from "../model/rerun.ts"
import { isEnded, type Run, type StepState } from "../model/run.ts"
import { pipelineKey, pipelineRevisionKey, runKey, stepKey } from "../store/keys.ts"
import { findVersion } from "../store/resource-version.ts"
import { commitBytesMax, type Entry, type Store, type Write } from "../store/store.ts"
import type { FirstUse } from "./idempotency.ts"
import { notFound } from "./problem.ts"
import { readOptionalBody, runIdParameter } from "./request.ts"
import { startWrites } from "./resource-writes.ts"
import type { ApiContext, Route } from "./route.ts"
import { parseRun, statesOf } from "./runs.ts"
import { idempotencyHeaders, json, rerunShape, waitQuery } from "./shapes.ts"
import { answerStart } from "./started-run.ts"

const rerunSchema = v.object({
  /** On the pipeline and drivers of then, instead of those of now. */
  original: v.optional(v.boolean(), false),
  /** Only this step, and what comes after it. */
  from: v.optional(nameSchema),
  /** Only what did not succeed. */
  failed: v.optional(v.boolean(), false),
})

/** Running again what a run that has ended did: on what is there now, or on what was there then. */
export function rerunRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/runs/:id/rerun",
      summary:
        "Run it again, with the same version of the resource, on the pipeline and drivers as they are now; with `original`, as they were then. With `from`, only that step and what comes after it; with `failed`, only what did not succeed: the other steps keep their results, and the workspace is as it was",
      query: waitQuery,
      headers: idempotencyHeaders,
      body: rerunSchema,
      bodyOptional: true,
      responses: { 201: json(rerunShape, "A new run has started") },
      async handle(call) {
        const rerunOf = runIdParameter(call.params["id"])
        const body = await readOptionalBody(call.request, rerunSchema)
        return answerStart(context, {
          call,
          scope: `POST /runs/${rerunOf}/rerun`,
          body,
          start: (runId, first) =>
            startRerun(context, { rerunOf, runId, first, original: body.original, part: partOf(body) }),
        })
      },
    },
  ]
}

export interface Rerun {
  /** The run that is to be done again. */
  readonly rerunOf: string
  /** The id the new one gets. */
  readonly runId: string
  readonly original: boolean
  readonly part: RerunPart
  readonly first: FirstUse<StartedAnswer>
}

/**
 * Starts the new run by one commit, guarded by all that it will refer to, so that nothing of it is collected or
 * changed meanwhile. Undefined when another request with the same key was first.
 */
export async function startRerun(
  context: Pick<ApiContext, "store" | "now">,
  rerun: Rerun,
): Promise<StartedAnswer | undefined> {
  const { store, now } = context
  const { rerunOf, runId, original, part, first } = rerun
  const answer = { runid: runId, message: "Rerun created successfully" }
  for (;;) {
    const header = await store.get(runKey(rerunOf))
    if (header === undefined) throw notFound("run", rerunOf)
    const run = parseRun(header)
    if (!isEnded(run.status))
      throw new ConveyorError("CONFLICT", `The run has not ended yet: it is ${run.status}`)
    const { type, name, version } = run.resource
    const resource = await findVersion(store, run.resource)
    if (resource === undefined)
      throw new ConveyorError("INVALID", `Version ${version} of the ${type} "${name}" is gone`)
    const course = original ? await originalCourse(store, run) : await currentCourse(store, run)
    const kept = await keptStates(context, { run, course, part })
    const dataFrom = runsOfData(kept)
    const writes = startWrites({
      runId,
      status: "pending",
      event: run.event,
      resource: run.resource,
      ...course.header,
      rerunOf,
      ...(kept.length === 0 ? {} : { workspaceFrom: rerunOf }),
      ...(dataFrom.length === 0 ? {} : { dataFrom }),
      createdAt: now().toISOString(),
    })
    const entries = [header, resource.entry, ...course.entries]
    const guards = entries.map(({ key, modRevision }) => ({ key, modRevision }))
    // No host sees the run before it is whole: what one commit does not take stands there before the header does.
    const batches = batchesOf(kept, runId)
    for (const batch of batches.slice(0, -1)) await store.commit([], batch)
    const last = batches.at(-1) ?? []
    const revision = await store.commit(
      [...first.guards, ...guards],
      [...writes, ...last, ...first.writes(answer)],
    )
    if (revision !== undefined) return answer
    for (const batch of batches.slice(0, -1)) {
      await store.commit(
        [],
        batch.map(({ key }) => ({ type: "delete", key })),
      )
    }
    if (await first.isLost()) return undefined
  }
}

function partOf({ from, failed }: v.InferOutput<typeof rerunSchema>): RerunPart {
  if (from !== undefined && failed) {
    throw new ConveyorError("INVALID", "The body does not validate", {
      faults: [{ message: 'Expected "from" or "failed", not both', path: "/failed" }],
    })
  }
  if (from !== undefined) return { type: "from", stepId: from }
  return { type: failed ? "failed" : "whole" }
}

/** Records that share a commit with the header: few and small enough for both. */
const keptPerCommit = 100
const keptBytesPerCommit = commitBytesMax - 100_000

/** The results the new run begins with, in the order of its steps. */
async function keptStates(
  context: Pick<ApiContext, "store">,
  { run, course, part }: { readonly run: Run; readonly course: Course; readonly part: RerunPart },
): Promise<readonly (readonly [string, StepState])[]> {
  if (part.type === "whole") return []
  const { steps } = course
  if (part.type === "from" && !steps.some(({ id, role }) => id === part.stepId && role === undefined)) {
    const ids = steps.filter(({ role }) => role === undefined).map(({ id }) => id)
    const nearest = nearestName(part.stepId, ids)
    throw new ConveyorError("INVALID", `The run has no step "${part.stepId}" to begin at`, {
      faults: [
        {
          message: `Expected one of ${ids.join(", ")}`,
          path: "/from",
          ...(nearest === undefined ? {} : { nearest }),
        },
      ],
    })
  }
  if (part.type === "failed" && run.status === "succeeded") {
    throw new ConveyorError("CONFLICT", "The run has succeeded: nothing of it has failed")
  }
  const states = await statesOf(context, run.runId)
  return [...keptSteps(part, steps, { runId: run.runId, states })]
}

/** The runs in whose files the large data of these results lies. */
function runsOfData(kept: readonly (readonly [string, StepState])[]): readonly string[] {
  const runIds = kept.flatMap(([, state]) =>
    "result" in state && state.result.dataRef !== undefined ? [state.result.dataRef.runId] : [],
  )
  return [...new Set(runIds)]
}

/** Their records, as many to a commit as it may hold. */
function batchesOf(
  kept: readonly (readonly [string, StepState])[],
  runId: string,
): readonly (readonly Write[])[] {
  const batches: Write[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const [stepId, state] of kept) {
    const write: Write = { type: "put", key: stepKey(runId, stepId), value: JSON.stringify(state) }
    const size = Buffer.byteLength(write.key) + Buffer.byteLength(write.value)
    if (bytes + size > keptBytesPerCommit || (batches.at(-1)?.length ?? 0) >= keptPerCommit) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(write)
    bytes += size
  }
  return batches
}

/** What a run goes along, as its header says it, and the entries that is read from. */
interface Course {
  readonly header: Pick<Run, "pipeline" | "steps" | "drivers">
  readonly steps: readonly PipelineStep[]
  readonly entries: readonly Entry[]
}

/** The pipeline as it is now; without one, the drivers that listen when the run is planned. */
async function currentCourse(store: Store, { pipeline, resource }: Run): Promise<Course> {
  if (pipeline === undefined) return { header: {}, steps: [], entries: [] }
  const { name } = pipeline
  const entry = await store.get(pipelineKey(name))
  if (entry === undefined) throw unusable(`There is no pipeline "${name}" any more`)
  const record = JSON.parse(entry.value) as PipelineRecord
  const kind = record.pipeline.resource
  if (kind !== resource.type) {
    throw unusable(`The pipeline "${name}" is for resources of kind "${kind}" now, not "${resource.type}"`)
  }
  return { header: { pipeline: { name, hash: record.hash } }, steps: record.pipeline.steps, entries: [entry] }
}

/** All that the run was pinned to. */
async function originalCourse(store: Store, { pipeline, steps, drivers }: Run): Promise<Course> {
  const pins = drivers === undefined ? {} : { drivers }
  if (pipeline === undefined)
    return { header: { ...(steps === undefined ? {} : { steps }), ...pins }, steps: steps ?? [], entries: [] }
  const revision = await store.get(pipelineRevisionKey(pipeline.hash))
  if (revision === undefined) {
    throw new ConveyorError(
      "INVALID",
      `The revision ${pipeline.hash} of the pipeline "${pipeline.name}" is gone`,
    )
  }
  const { steps: all } = JSON.parse(revision.value) as Pipeline
  return { header: { pipeline, ...pins }, steps: all, entries: [revision] }
}

function unusable(message: string): ConveyorError {
  return new ConveyorError("INVALID", `${message}; with "original" the run goes along the one it had`)
}
