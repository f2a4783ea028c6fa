import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import { isEnded, type Run } from "../model/run.ts"
import { runKey } from "../store/keys.ts"
import { notFound } from "./problem.ts"
import { readOptionalBody, runIdParameter } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { openRun, parseRun } from "./runs.ts"
import { json, runShape } from "./shapes.ts"

const cancelSchema = v.object({
  /** Attempts get no grace period. */
  kill: v.optional(v.boolean(), false),
  /** False: no cleanup step runs, and those that run end. */
  cleanup: v.optional(v.boolean(), true),
})

/** Asking for a run to be cancelled. */
export function cancelRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/runs/:id/cancel",
      summary:
        "Ask for a run to be cancelled: attempts get their grace period, then its cleanup runs. With `kill` there is no grace period; with `cleanup: false` no cleanup. Asking again adds to what was asked for",
      body: cancelSchema,
      bodyOptional: true,
      responses: { 202: json(runShape, "It is being cancelled") },
      async handle({ request, params }) {
        const runId = runIdParameter(params["id"])
        const asked = await readOptionalBody(request, cancelSchema)
        await requestCancel(context, runId, asked)
        using observed = await openRun(context, runId)
        return Response.json(await observed.view(), { status: 202 })
      },
    },
  ]
}

/** Asks for the run to be cancelled. `CONFLICT` when it has ended. */
export async function requestCancel(
  { store, now }: Pick<ApiContext, "store" | "now">,
  runId: string,
  asked: v.InferOutput<typeof cancelSchema>,
): Promise<void> {
  const key = runKey(runId)
  for (;;) {
    const entry = await store.get(key)
    if (entry === undefined) throw notFound("run", runId)
    const run = parseRun(entry)
    if (isEnded(run.status))
      throw new ConveyorError("CONFLICT", `The run has ended already, as ${run.status}`)
    const value = JSON.stringify(cancelled(run, asked, now().toISOString()))
    if (value === entry.value) return
    const guards = [{ key, modRevision: entry.modRevision }]
    if ((await store.commit(guards, [{ type: "put", key, value }])) !== undefined) return
  }
}

/** The run with what is asked for, and all that was asked for before. */
function cancelled(run: Run, { kill, cleanup }: v.InferOutput<typeof cancelSchema>, at: string): Run {
  const more = { ...run.cancel, ...(kill ? { kill } : {}), ...(cleanup ? {} : { cleanup }) }
  return {
    ...run,
    cancelRequestedAt: run.cancelRequestedAt ?? at,
    ...(Object.keys(more).length === 0 ? {} : { cancel: more as NonNullable<Run["cancel"]> }),
  }
}
