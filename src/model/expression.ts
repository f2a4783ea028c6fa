import type { DriverResult } from "./driver.ts"
import type { ResourceEvent } from "./event.ts"
import { compileText, type ExpressionProgram, type expressionRoots, summaryOf } from "./expression-program.ts"
import type { Fault } from "./fault.ts"
import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import { escapePointer } from "./json-pointer.ts"
import type { Resource } from "./resource.ts"
import type { StepStatus } from "./run.ts"

/*
 * `${{ <CEL> }}` inside any string of a step's `with`. A string that is one expression and nothing else becomes the
 * expression's value, whatever its type; elsewhere the value is written into the text. Keys are never evaluated.
 * Numbers of JSON are CEL doubles; arithmetic between them and CEL ints is allowed here, as people expect of `n + 1`.
 */

/** What an expression sees, by the names it begins with. */
export interface ExpressionScope extends Record<(typeof expressionRoots)[number], unknown> {
  readonly resource: Resource
  /** The pipeline's metadata, as drivers get it; empty without a pipeline. The resource's own is `resource.metadata`. */
  readonly metadata: JsonObject
  /** Results of earlier steps by step id. */
  readonly results: { readonly [stepId: string]: DriverResult }
  /** The same with each step's status. */
  readonly steps: { readonly [stepId: string]: Partial<DriverResult> & { readonly status: StepStatus } }
  readonly run: { readonly id: string; readonly pipeline?: string; readonly createdAt: string }
  readonly event: ResourceEvent
}

/** An expression that gave no value. Its message is a whole sentence for the step's failure. */
export class ExpressionError extends Error {
  /** Where in the step's `with`, as a JSON Pointer. */
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

/**
 * Everything wrong with the expressions in a value that can be told without running them: syntax, unknown names and
 * functions. Paths are JSON Pointers into the value.
 */
export function checkExpressions(value: Json): (Fault & { readonly path: string })[] {
  const faults: (Fault & { readonly path: string })[] = []
  visitStrings(value, "", (text, path) => {
    for (const part of compileText(text)) if (part.type === "invalid") faults.push({ ...part.fault, path })
  })
  return faults
}

/**
 * The input with every expression replaced by its value in `scope`. Returns the same object when it holds none.
 * Throws {@link ExpressionError} for the first expression that does not evaluate, or not to a JSON value.
 */
export function evaluateExpressions(input: JsonObject, scope: ExpressionScope): JsonObject {
  return hasExpressions(input) ? (evaluate(input, "", scope) as JsonObject) : input
}

function evaluate(value: Json, path: string, scope: ExpressionScope): Json {
  if (typeof value === "string") return value.includes("${{") ? evaluateText(value, path, scope) : value
  if (Array.isArray(value)) return value.map((item: Json, index) => evaluate(item, `${path}/${index}`, scope))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      evaluate(field, `${path}/${escapePointer(key)}`, scope),
    ]),
  )
}

function evaluateText(text: string, path: string, scope: ExpressionScope): Json {
  const values = compileText(text).map((part): Json => {
    switch (part.type) {
      case "text":
        return part.text
      case "program":
        return runProgram(part, path, scope)
      case "invalid":
        throw new ExpressionError(`${part.fault.message}, in ${path} of the input`, {
          path,
          expression: part.expression,
        })
      default:
        part satisfies never
        throw new Error("A compiled part is text, a program or invalid")
    }
  })
  return values.length === 1 ? (values[0] as Json) : values.map(textOf).join("")
}

function runProgram(program: ExpressionProgram, path: string, scope: ExpressionScope): Json {
  try {
    return toJson(program.run({ ...scope }))
  } catch (thrown) {
    const why = thrown instanceof Error ? summaryOf(thrown) : String(thrown)
    const place = path === "" ? "" : `, in ${path} of the input`
    throw new ExpressionError(`The expression "${program.expression}" has no value: ${why}${place}`, {
      path,
      expression: program.expression,
      cause: thrown,
    })
  }
}

/** How a value stands inside a longer text: a string as it is, null as nothing, the rest as JSON. */
function textOf(value: Json): string {
  if (value === null) return ""
  return typeof value === "string" ? value : JSON.stringify(value)
}

function toJson(value: unknown): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      if (!Number.isFinite(value)) throw new Error(`${value} is not a JSON number`)
      return value
    case "bigint":
      if (!Number.isSafeInteger(Number(value))) throw new Error(`${value} is too large for a JSON number`)
      return Number(value)
    case "object":
      if (value === null) return null
      if (Array.isArray(value)) return value.map(toJson)
      if (value instanceof Date) return value.toISOString()
      if (value instanceof Map) return mapToJson(value.entries())
      if (isPlain(value)) return mapToJson(Object.entries(value))
      // The library has its class for CEL's unsigned numbers, and does not export it.
      if (value.constructor.name === "UnsignedInt") return toJson(value.valueOf())
      throw new Error(`its value is not a JSON value but a ${value.constructor.name}`)
    default:
      throw new Error("its value is not a JSON value")
  }
}

function mapToJson(entries: Iterable<[unknown, unknown]>): JsonObject {
  return Object.fromEntries(
    [...entries].flatMap(([key, field]) => (field === undefined ? [] : [[String(key), toJson(field)]])),
  )
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function visitStrings(value: Json, path: string, visit: (text: string, path: string) => void): void {
  if (typeof value === "string") {
    if (value.includes("${{")) visit(value, path)
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) visitStrings(item as Json, `${path}/${index}`, visit)
  } else if (isJsonObject(value)) {
    for (const [key, field] of Object.entries(value))
      visitStrings(field, `${path}/${escapePointer(key)}`, visit)
  }
}
