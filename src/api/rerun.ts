import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import type { StartedAnswer } from "../model/idempotency.ts"
import type { PipelineRecord } from "../model/pipeline.ts"
import { isEnded, type Run } from "../model/run.ts"
import { pipelineKey, pipelineRevisionKey, resourceKey, resourceVersionKey, runKey } from "../store/keys.ts"
import type { Entry, Store } from "../store/store.ts"
import type { FirstUse } from "./idempotency.ts"
import { notFound } from "./problem.ts"
import { readOptionalBody, runIdParameter } from "./request.ts"
import { parseResource, startWrites } from "./resource-writes.ts"
import type { ApiContext, Route } from "./route.ts"
import { parseRun } from "./runs.ts"
import { idempotencyHeaders, json, rerunShape, waitQuery } from "./shapes.ts"
import { answerStart } from "./started-run.ts"

const rerunSchema = v.object({ original: v.optional(v.boolean(), false) })

/** Running again what a run that has ended did: on what is there now, or on what was there then. */
export function rerunRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/runs/:id/rerun",
      summary:
        "Run it again, with the same version of the resource, on the pipeline and drivers as they are now; with `original`, as they were then",
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
          start: (runId, first) => startRerun(context, { rerunOf, runId, first, ...body }),
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
  readonly first: FirstUse<StartedAnswer>
}

/**
 * Starts the new run by one commit, guarded by all that it will refer to, so that nothing of it is collected or
 * changed meanwhile. Undefined when another request with the same key was first.
 */
export async function startRerun(
  { store, now }: Pick<ApiContext, "store" | "now">,
  rerun: Rerun,
): Promise<StartedAnswer | undefined> {
  const { rerunOf, runId, original, first } = rerun
  const answer = { runid: runId, message: "Rerun created successfully" }
  for (;;) {
    const header = await store.get(runKey(rerunOf))
    if (header === undefined) throw notFound("run", rerunOf)
    const run = parseRun(header)
    if (!isEnded(run.status))
      throw new ConveyorError("CONFLICT", `The run has not ended yet: it is ${run.status}`)
    const resource = await resourceOf(store, run)
    const course = original ? await originalCourse(store, run) : await currentCourse(store, run)
    const writes = startWrites({
      runId,
      status: "pending",
      event: run.event,
      resource: run.resource,
      ...course.header,
      rerunOf,
      createdAt: now().toISOString(),
    })
    const entries = [header, resource, ...course.entries]
    const guards = entries.map(({ key, modRevision }) => ({ key, modRevision }))
    const revision = await store.commit([...first.guards, ...guards], [...writes, ...first.writes(answer)])
    if (revision !== undefined) return answer
    if (await first.isLost()) return undefined
  }
}

/** What a run goes along, as its header says it, and the entries that is read from. */
interface Course {
  readonly header: Pick<Run, "pipeline" | "steps" | "drivers">
  readonly entries: readonly Entry[]
}

/** The pipeline as it is now; without one, the drivers that listen when the run is planned. */
async function currentCourse(store: Store, { pipeline, resource }: Run): Promise<Course> {
  if (pipeline === undefined) return { header: {}, entries: [] }
  const { name } = pipeline
  const entry = await store.get(pipelineKey(name))
  if (entry === undefined) throw unusable(`There is no pipeline "${name}" any more`)
  const record = JSON.parse(entry.value) as PipelineRecord
  const kind = record.pipeline.resource
  if (kind !== resource.type) {
    throw unusable(`The pipeline "${name}" is for resources of kind "${kind}" now, not "${resource.type}"`)
  }
  return { header: { pipeline: { name, hash: record.hash } }, entries: [entry] }
}

/** All that the run was pinned to. */
async function originalCourse(store: Store, { pipeline, steps, drivers }: Run): Promise<Course> {
  const pins = drivers === undefined ? {} : { drivers }
  if (pipeline === undefined)
    return { header: { ...(steps === undefined ? {} : { steps }), ...pins }, entries: [] }
  const revision = await store.get(pipelineRevisionKey(pipeline.hash))
  if (revision === undefined) {
    throw new ConveyorError(
      "INVALID",
      `The revision ${pipeline.hash} of the pipeline "${pipeline.name}" is gone`,
    )
  }
  return { header: { pipeline, ...pins }, entries: [revision] }
}

function unusable(message: string): ConveyorError {
  return new ConveyorError("INVALID", `${message}; with "original" the run goes along the one it had`)
}

/** The version of the resource that the run was for: the newest one, or one that is kept. */
async function resourceOf(store: Store, { resource: { type, name, version } }: Run): Promise<Entry> {
  for (const key of [resourceKey(type, name), resourceVersionKey(type, name, version)]) {
    const entry = await store.get(key)
    if (entry !== undefined && parseResource(entry).version === version) return entry
  }
  throw new ConveyorError("INVALID", `Version ${version} of the ${type} "${name}" is gone`)
}
