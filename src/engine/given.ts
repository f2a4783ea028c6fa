import { messageOf } from "../errors.ts"
import type { DriverResult } from "../model/driver.ts"
import { evaluateExpressions, hasExpressions } from "../model/expression.ts"
import type { JsonObject } from "../model/json.ts"
import { onceFor } from "../model/once-for.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import type { Resource } from "../model/resource.ts"
import { envOf, resourceFor, resultsBefore, stepScope } from "../model/run-scope.ts"
import { durationOf, textsOf } from "../model/run-values.ts"
import { runStandings } from "../model/standing.ts"
import type { AttemptOrder } from "./attempts.ts"

/** What a driver is given for an attempt, its expressions evaluated. */
export interface Given {
  readonly input: JsonObject
  readonly env: { readonly [name: string]: string }
  readonly timeoutMs: number
  readonly results: { readonly [stepId: string]: DriverResult }
  readonly resource: Resource
}

/** Does a step hold expressions that an attempt evaluates? */
const isDynamic = onceFor(
  (step: PipelineStep) =>
    step.timeout !== undefined || hasExpressions(step.with ?? {}) || hasExpressions(step.env ?? {}),
)

function standingsIn({ run, pipeline, steps, states }: AttemptOrder["content"]) {
  return runStandings(run, steps, { states, failFast: pipeline?.failFast !== false })
}

/** What an attempt is given, or why it cannot be: an expression without a value, in words for the attempt's failure. */
export function givenOrFailure({ content, step, readsResults }: AttemptOrder): Given | string {
  // What an expression has read need not go to a driver that reads nothing but its input.
  const shown = readsResults ? content : { ...content, dataAt: () => undefined }
  const results = resultsBefore(step, shown)
  const resource = resourceFor(shown, results)
  const shared = envOf(content)
  const plain = { results, resource, timeoutMs: step.timeoutMs, input: step.with ?? {} }
  if (!isDynamic(step)) return { ...plain, env: { ...shared, ...step.env } }
  const standings = standingsIn(content)
  const standing = standings.of.get(step.id)
  const status = standing !== undefined && "upstream" in standing ? standing.upstream : undefined
  const scope = stepScope(content, step, { standings, ...(status === undefined ? {} : { status }) })
  try {
    const timeout = step.timeout && evaluateExpressions(step.timeout, scope, "the timeout")
    return {
      ...plain,
      input: evaluateExpressions(plain.input, scope),
      env: { ...shared, ...textsOf(evaluateExpressions(step.env ?? {}, scope, "the env")) },
      ...(timeout === undefined ? {} : { timeoutMs: durationOf(timeout, "the timeout") }),
    }
  } catch (error) {
    return messageOf(error)
  }
}
