import { didYouMean, nearestName } from "../model/nearest.ts"
import { isEnded, type Run, runStatuses, type StepState } from "../model/run.ts"
import { type RunView, viewRun } from "../model/run-view.ts"
import { parseRunKey, prefixes, stepsPrefix } from "../store/keys.ts"
import type { Entry } from "../store/store.ts"
import { FollowedRun, revisionOf } from "./followed-run.ts"
import { listPage, pageOf, pageResponse } from "./paging.ts"
import { notFound } from "./problem.ts"
import { invalidQuery, runIdParameter, waitMs } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { runEvents } from "./run-events.ts"
import { events, json, listOf, pageQuery, runShape, runSummaryShape, waitQuery } from "./shapes.ts"
import { eventStream } from "./sse.ts"

/** The most runs looked at for one page, so that a filter that fits nothing has an end: the page then is short. */
const scannedMax = 10_000
const scanPage = 500

/** Runs: list, read, wait for, follow. */
export function runRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/runs",
      summary: "List the runs, newest first",
      query: {
        ...pageQuery,
        pipeline: "Only those of this pipeline",
        status: "Only those with this status",
        resource: 'Only those of this resource, by name or as "kind/name"',
      },
      responses: { 200: json(listOf(runSummaryShape), "A page of them; one with a filter may be short") },
      async handle(call) {
        const { runs, next } = await findRuns(context, call.query)
        return pageResponse(call, await Promise.all(runs.map((run) => summarize(context, run))), next)
      },
    },
    {
      method: "GET",
      path: "/runs/:id",
      summary: "Read a run, or wait for its end",
      query: waitQuery,
      responses: { 200: json(runShape, "The run as it is now") },
      async handle(call) {
        const wait = waitMs(call.query)
        using observed = await openRun(context, runIdParameter(call.params["id"]))
        if (wait > 0) call.keepOpen()
        await observed.waitForEnd(wait, call.request.signal)
        return Response.json(await observed.view())
      },
    },
    {
      method: "GET",
      path: "/runs/:id/events",
      summary: "Follow a run",
      responses: {
        200: events(
          "`snapshot` (the run), then `run` (without its steps) and `step` as they change, then `end` (the run)",
        ),
      },
      async handle(call) {
        const observed = await openRun(context, runIdParameter(call.params["id"]))
        call.keepOpen()
        return eventStream(context.signal, (signal) => runEvents(observed, signal))
      },
    },
  ]
}

/** An observed run that is there; `NOT_FOUND` otherwise. */
export async function openRun(context: ApiContext, runId: string): Promise<FollowedRun> {
  const observed = new FollowedRun(context, runId)
  try {
    await observed.load()
    if (observed.run === undefined) throw notFound("run", runId)
    return observed
  } catch (error) {
    observed[Symbol.dispose]()
    throw error
  }
}

/** Reads the header of a run. */
export function parseRun(entry: Entry): Run {
  return JSON.parse(entry.value) as Run
}

/** A page of runs that fit the filters, newest first. */
async function findRuns({ store }: ApiContext, query: URLSearchParams) {
  const { limit, after } = pageOf(query)
  const fits = filterOf(query)
  const runs: Run[] = []
  let cursor = after
  for (let scanned = 0; scanned < scannedMax; scanned += scanPage) {
    const { entries, next } = await listPage(store, {
      prefix: prefixes.runHeaders,
      page: { limit: scanPage, ...(cursor === undefined ? {} : { after: cursor }) },
      reverse: true,
    })
    for (const [index, entry] of entries.entries()) {
      const run = parseRun(entry)
      if (!fits(run)) continue
      runs.push(run)
      const more = next !== undefined || index < entries.length - 1
      if (runs.length === limit) return { runs, next: more ? run.runId : undefined }
    }
    cursor = next
    if (cursor === undefined) break
  }
  return { runs, next: cursor }
}

function filterOf(query: URLSearchParams): (run: Run) => boolean {
  const pipeline = query.get("pipeline")
  const status = query.get("status")
  const resource = query.get("resource")
  if (status !== null && !runStatuses.some((known) => known === status)) {
    const nearest = nearestName(status, runStatuses)
    throw invalidQuery("status", `Expected one of ${runStatuses.join(", ")}${didYouMean(nearest)}`)
  }
  return (run) =>
    (pipeline === null || run.pipeline?.name === pipeline) &&
    (status === null || run.status === status) &&
    (resource === null ||
      run.resource.name === resource ||
      `${run.resource.type}/${run.resource.name}` === resource)
}

/** The view of a run without its steps. What an unfinished one waits for is said by its steps, so these are read. */
async function summarize(context: ApiContext, run: Run): Promise<Omit<RunView, "steps">> {
  const { steps: _, ...summary } = isEnded(run.status)
    ? viewRun(run, undefined, new Map())
    : viewRun(run, await revisionOf(context, run), await statesOf(context, run.runId))
  return summary
}

/** The states of a run's steps, by step id. */
export async function statesOf(
  { store }: Pick<ApiContext, "store">,
  runId: string,
): Promise<ReadonlyMap<string, StepState>> {
  const { entries } = await store.list(stepsPrefix(runId))
  return new Map(
    entries.flatMap((entry) => {
      const key = parseRunKey(entry.key)
      return key?.type === "step" ? [[key.stepId, JSON.parse(entry.value) as StepState] as const] : []
    }),
  )
}
