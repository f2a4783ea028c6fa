import { ConveyorError } from "../errors.ts"
import type { RecordedResult } from "../model/driver.ts"
import type { StepState } from "../model/run.ts"
import { stepKey } from "../store/keys.ts"
import { notFound } from "./problem.ts"
import { nameParameter, runIdParameter } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { openRun } from "./runs.ts"
import { anything, json } from "./shapes.ts"

const sha256Pattern = /^[0-9a-f]{64}$/

/** The data of results, wherever it lies. */
export function stepDataRoutes(context: ApiContext): readonly Route[] {
  const { store, results, allResults, folder } = context
  return [
    {
      method: "GET",
      path: "/runs/:id/steps/:step/data",
      summary: "The data of a step's result, from whichever host has it; 503 when that host is gone",
      responses: { 200: json(anything, "The data") },
      async handle(call) {
        const runId = runIdParameter(call.params["id"])
        const stepId = nameParameter(call.params["step"], "step")
        const entry = await store.get(stepKey(runId, stepId))
        if (entry === undefined) return await noData(context, { runId, stepId })
        const state = JSON.parse(entry.value) as StepState
        const result: RecordedResult | undefined = "result" in state ? state.result : undefined
        if (result?.data !== undefined) return Response.json(result.data)
        const ref = result?.dataRef
        if (ref === undefined) return await noData(context, { runId, stepId })
        try {
          const bytes = await allResults.read(ref)
          return new Response(bytes, { headers: { "content-type": "application/json;charset=utf-8" } })
        } catch (error) {
          if (!(error instanceof ConveyorError)) throw error
          const message = `The data of step "${stepId}" (${ref.bytes} bytes) cannot be read: ${error.message}`
          throw new ConveyorError(error.code, message, { cause: error })
        }
      },
    },
    {
      method: "GET",
      path: "/data/local/:runid/:sha256",
      summary: "For other hosts: large data of a result that lies on this one",
      query: { folder: "The id of the data folder that is meant; 409 when this host runs on another one" },
      responses: { 200: json(anything, "The data") },
      async handle(call) {
        const runId = runIdParameter(call.params["runid"])
        const sha256 = call.params["sha256"] ?? ""
        if (call.query.get("folder") !== folder)
          throw new ConveyorError("CONFLICT", `This host runs on the data folder ${folder}`)
        const file = Bun.file(sha256Pattern.test(sha256) ? results.fileOf({ runId, sha256 }) : "")
        if (!sha256Pattern.test(sha256) || !(await file.exists())) throw notFound("data", sha256)
        return new Response(file, { headers: { "content-type": "application/json;charset=utf-8" } })
      },
    },
  ]
}

/** Says which of the run, the step and its data there is not. */
async function noData(
  context: ApiContext,
  { runId, stepId }: { readonly runId: string; readonly stepId: string },
): Promise<never> {
  using run = await openRun(context, runId)
  if (!(await run.view())?.steps.some(({ id }) => id === stepId)) throw notFound("step", stepId)
  throw new ConveyorError("NOT_FOUND", `The step "${stepId}" has no data`)
}
