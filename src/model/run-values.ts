import type { RunConcurrency } from "./concurrency.ts"
import { durationMsMax, durationRule, parseDuration } from "./duration.ts"
import { evaluateExpressions, hasExpressions } from "./expression.ts"
import type { Json } from "./json.ts"
import { onceFor } from "./once-for.ts"
import type { Pipeline } from "./pipeline.ts"
import { present } from "./present.ts"
import type { RunValues } from "./run.ts"
import { metadataOf, type RunContent, startScope } from "./run-scope.ts"

/** Must the pipeline's own fields be evaluated when a run of it starts? */
export const hasRunValues = onceFor(
  ({ timeout, metadata, env = {} }: Pipeline) =>
    timeout !== undefined || hasExpressions(metadata) || hasExpressions(env),
)

/**
 * The pipeline's `metadata`, `env` and `timeout` for a run. Throws an `ExpressionError`, or an `Error` for a timeout that is
 * no duration; the message is a whole sentence for the run's failure.
 */
export function runValues(pipeline: Pipeline, content: RunContent): RunValues {
  const start = startScope(content)
  const metadata = evaluateExpressions(pipeline.metadata, start, "the pipeline's metadata")
  const scope = { ...start, metadata }
  return present({
    metadata,
    env: pipeline.env && textsOf(evaluateExpressions(pipeline.env, scope, "the pipeline's env")),
    timeoutMs:
      pipeline.timeout === undefined
        ? undefined
        : durationOf(
            evaluateExpressions(pipeline.timeout, scope, "the pipeline's timeout"),
            "the pipeline's timeout",
          ),
  })
}

/** The concurrency key of a run, once its own values are there. Throws an `ExpressionError`. */
export function concurrencyOf(
  { key, limit, policy }: NonNullable<Pipeline["concurrency"]>,
  content: RunContent,
): RunConcurrency {
  const scope = { ...startScope(content), metadata: metadataOf(content) }
  const value = evaluateExpressions(key, scope, "the concurrency key")
  return { key: typeof value === "string" ? value : JSON.stringify(value), limit, policy }
}

/** The values of variables as texts. */
export function textsOf(values: { readonly [name: string]: Json }): { readonly [name: string]: string } {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === "string" ? value : value === null ? "" : JSON.stringify(value),
    ]),
  )
}

/** Milliseconds of an evaluated duration. Throws when it is none. */
export function durationOf(value: Json, of: string): number {
  const ms = typeof value === "string" ? parseDuration(value) : value
  if (typeof ms === "number" && ms >= 0 && ms <= durationMsMax) return ms
  throw new Error(`${durationRule} as ${of}, found ${JSON.stringify(value)}`)
}
