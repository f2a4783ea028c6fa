import type { Attempt } from "../drivers/driver-host.ts"
import { evaluateExpressions, hasExpressions } from "../model/expression.ts"
import type { JsonObject } from "../model/json.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import type { Resource } from "../model/resource.ts"
import type { AttemptOrder } from "./attempts.ts"

/** Whether a step's `with` holds expressions; told once for each step of each pipeline in memory. */
const dynamic = new WeakMap<PipelineStep, boolean>()

/**
 * The input of an attempt: the step's `with`, its `${{ }}` expressions evaluated. Throws an `ExpressionError`, whose
 * message names the place and the expression; that fails the attempt.
 */
export function inputOf(
  { run, pipeline, step, states }: AttemptOrder,
  results: Attempt["results"],
  resource: Resource,
): JsonObject {
  if (step.with === undefined) return {}
  let isDynamic = dynamic.get(step)
  if (isDynamic === undefined) {
    isDynamic = hasExpressions(step.with)
    dynamic.set(step, isDynamic)
  }
  if (!isDynamic) return step.with
  const steps = Object.entries(results).map(([id, result]) => {
    return [id, { ...result, status: states.get(id)?.status ?? "pending" }] as const
  })
  return evaluateExpressions(step.with, {
    resource,
    metadata: pipeline?.metadata ?? {},
    results,
    steps: Object.fromEntries(steps),
    run: { id: run.runId, createdAt: run.createdAt, pipeline: pipeline?.name ?? "" },
    event: run.event,
  })
}
