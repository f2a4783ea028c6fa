import type { DriverResult } from "./driver.ts"
import type { ResourceEvent } from "./event.ts"
import { ExpressionBudget } from "./expression-budget.ts"
import type { ExpressionRoot } from "./expression-environment.ts"
import type { ExpressionStatus } from "./expression-metered.ts"
import {
  compileCondition,
  compileText,
  type ExpressionProgram,
  type InvalidExpression,
  summaryOf,
} from "./expression-program.ts"
import { readsOfProgram } from "./expression-reads.ts"
import { textOf, toJson } from "./expression-value.ts"
import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import { escapePointer } from "./json-pointer.ts"
import type { Resource } from "./resource.ts"
import type { StepStatus } from "./run.ts"
import { shortened } from "./shortened.ts"

/*
 * `${{ <CEL> }}` inside any string of what a step or a pipeline says. A string that is one expression and nothing else
 * becomes the expression's value, whatever its type; elsewhere the value is written into the text. Keys are never
 * evaluated. Numbers of JSON are CEL doubles; arithmetic between them and CEL ints is allowed here, as people expect of
 * `n + 1`. What an evaluation may cost is bounded, so that it cannot hold up the host.
 */

/** What an expression sees, by the names it begins with. What is absent is empty. */
export interface ExpressionScope extends Partial<Record<ExpressionRoot, unknown>> {
  readonly resource?: Resource
  /** The pipeline's metadata, as drivers get it; empty without a pipeline. The resource's own is `resource.metadata`. */
  readonly metadata?: JsonObject
  /** Results of earlier steps by step id. */
  readonly results?: { readonly [stepId: string]: DriverResult }
  /** How the steps upstream ended, by step id. */
  readonly steps?: { readonly [stepId: string]: StepInScope }
  readonly run?: { readonly id: string; readonly pipeline?: string; readonly createdAt: string }
  readonly event?: ResourceEvent
  /** The host's variables that it lets through, with the pipeline's over them; not the step's own. */
  readonly env?: JsonObject
  /** What `success()` and `failure()` answer; absent where they have no meaning. */
  readonly status?: ExpressionStatus
}

/** A step as expressions see it. One that has not run has no result. */
export interface StepInScope extends Partial<DriverResult> {
  readonly status: StepStatus
}

/** An expression that gave no value. Its message is a whole sentence for the step's failure. */
export class ExpressionError extends Error {
  /** Where in the value that was evaluated, as a JSON Pointer. */
  readonly path: string
  /** What stands between `${{` and `}}`. */
  readonly expression: string

  constructor(message: string, place: { path: string; expression: string; cause?: unknown }) {
    super(message, place.cause === undefined ? undefined : { cause: place.cause })
    this.name = "ExpressionError"
    this.path = place.path
    this.expression = place.expression
  }
}

/** Is there an expression anywhere in it? Precompute it per step: without one, evaluation can be left out. */
export function hasExpressions(value: Json): boolean {
  if (typeof value === "string") return value.includes("${{")
  if (Array.isArray(value)) return value.some(hasExpressions)
  return isJsonObject(value) && Object.values(value).some(hasExpressions)
}

/** What evaluating is about: the values, what it may cost, and how messages call the whole. */
interface Evaluation {
  readonly scope: ExpressionScope
  readonly budget: ExpressionBudget
  readonly of: string
}

/**
 * The value with every expression in it replaced by its value in `scope`. Returns the same value when it holds none.
 * Throws {@link ExpressionError} for the first expression that does not evaluate, or not to a JSON value, or that takes
 * too long together with those before it. `of` is what messages call the whole.
 */
export function evaluateExpressions(value: JsonObject, scope: ExpressionScope, of?: string): JsonObject
export function evaluateExpressions(value: Json, scope: ExpressionScope, of?: string): Json
export function evaluateExpressions(value: Json, scope: ExpressionScope, of = "the input"): Json {
  if (!hasExpressions(value)) return value
  return evaluate(value, "", { scope, budget: new ExpressionBudget(), of })
}

/**
 * Is a condition true in `scope`? The source is CEL, as it is or inside one `${{ }}`. Throws {@link ExpressionError} when
 * it has no value, or one that is neither true nor false. Says nothing of what a condition without a status function
 * means beside it: see {@link usesStatus}.
 */
export function evaluateCondition(source: string, scope: ExpressionScope): boolean {
  const compiled = compileCondition(source)
  const value = runPart(compiled, "", { scope, budget: new ExpressionBudget(), of: "the condition" })
  if (typeof value === "boolean") return value
  const shown = shortened(JSON.stringify(value), 60)
  throw new ExpressionError(`The condition "${compiled.expression}" is neither true nor false but ${shown}`, {
    path: "",
    expression: compiled.expression,
  })
}

function evaluate(value: Json, path: string, evaluation: Evaluation): Json {
  if (typeof value === "string") return value.includes("${{") ? evaluateText(value, path, evaluation) : value
  if (Array.isArray(value)) {
    return value.map((item: Json, index) => evaluate(item, `${path}/${index}`, evaluation))
  }
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      evaluate(field, `${path}/${escapePointer(key)}`, evaluation),
    ]),
  )
}

function evaluateText(text: string, path: string, evaluation: Evaluation): Json {
  const values = compileText(text).map((part) =>
    part.type === "text" ? part.text : runPart(part, path, evaluation),
  )
  return values.length === 1 ? (values[0] as Json) : values.map(textOf).join("")
}

function runPart(part: ExpressionProgram | InvalidExpression, path: string, evaluation: Evaluation): Json {
  const { expression } = part
  const where = path === "" ? "" : `, in ${path} of ${evaluation.of}`
  if (part.type === "invalid")
    throw new ExpressionError(`${part.fault.message}${where}`, { path, expression })
  try {
    return runProgram(part, evaluation)
  } catch (thrown) {
    const why = thrown instanceof Error ? summaryOf(thrown) : String(thrown)
    const message = `The expression "${expression}" has no value: ${why}${where}`
    throw new ExpressionError(message, { path, expression, cause: thrown })
  }
}

function runProgram(program: ExpressionProgram, { scope, budget }: Evaluation): Json {
  const { status, ...names } = scope
  const [call] = readsOfProgram(program).statusCalls.filter(({ name }) => name !== "always")
  if (status === undefined && call !== undefined) throw new Error(`${call.name}() has no value here`)
  const { resource = {}, metadata = {}, results = {}, steps = {}, run = {}, event = "", env = {} } = names
  const value = program.run(
    { resource, metadata, results, steps, run, event, env },
    { budget, ...(status === undefined ? {} : { status }) },
  )
  return toJson(value, budget)
}
