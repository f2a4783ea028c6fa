import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import { jsonSchema } from "../model/json.ts"
import type { Resolution, StepState } from "../model/run.ts"
import { type ResultStore, recorded } from "../results/result-store.ts"
import { stepKey } from "../store/keys.ts"
import { notFound } from "./problem.ts"
import { nameParameter, readBody, runIdParameter } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { openRun } from "./runs.ts"
import { json, runShape } from "./shapes.ts"

const resolveSchema = v.object({
  outcome: v.picklist(["succeeded", "failed", "retry"], 'Expected one of "succeeded", "failed", "retry"'),
  message: v.optional(v.string(), ""),
  data: v.optional(jsonSchema),
})

/** Saying how an attempt ended that was cut off and that must not simply be done again. */
export function resolveRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/runs/:id/steps/:step/resolve",
      summary: "Say how an attempt ended that was cut off in a step with `effects: once`",
      body: resolveSchema,
      responses: { 202: json(runShape, "The run goes on from there") },
      async handle(call) {
        const runId = runIdParameter(call.params["id"])
        const stepId = nameParameter(call.params["step"], "step")
        const body = await readBody(call.request, resolveSchema)
        using run = await openRun(context, runId)
        if (!(await run.view())?.steps.some(({ id }) => id === stepId)) throw notFound("step", stepId)
        await resolve(context, {
          runId,
          stepId,
          resolution: await resolutionOf(body, { runId, results: context.allResults }),
        })
        await run.load()
        return Response.json(await run.view(), { status: 202 })
      },
    },
  ]
}

async function resolutionOf(
  { outcome, message, data }: v.InferOutput<typeof resolveSchema>,
  to: { readonly runId: string; readonly results: ResultStore },
): Promise<Resolution> {
  if (outcome === "retry") return { outcome }
  const success = outcome === "succeeded"
  const result = { success, message, ...(data === undefined ? {} : { data }) }
  return { outcome, result: await recorded(result, to) }
}

/** Writes the word down beside the question; the engine takes it from there. The first word stands. */
export async function resolve(
  { store }: Pick<ApiContext, "store">,
  { runId, stepId, resolution }: { runId: string; stepId: string; resolution: Resolution },
): Promise<void> {
  const key = stepKey(runId, stepId)
  const entry = await store.get(key)
  const state = entry === undefined ? undefined : (JSON.parse(entry.value) as StepState)
  const isAsked = state?.status === "waiting" && state.waitingFor.type === "resolution"
  if (entry === undefined || !isAsked || state.resolution !== undefined) {
    const now = state === undefined ? "pending" : isAsked ? "resolved already" : state.status
    throw new ConveyorError("CONFLICT", `The step "${stepId}" does not wait for a resolution: it is ${now}`)
  }
  const guards = [{ key, modRevision: entry.modRevision }]
  const value = JSON.stringify({ ...state, resolution })
  if ((await store.commit(guards, [{ type: "put", key, value }])) === undefined) {
    throw new ConveyorError("CONFLICT", `The step "${stepId}" changed at this very moment; look at it again`)
  }
}
