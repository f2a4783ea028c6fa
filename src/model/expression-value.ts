import type { ExpressionBudget } from "./expression-budget.ts"
import type { Json, JsonObject } from "./json.ts"

/** A CEL value as JSON, paid for by its size. Throws for what JSON does not know: bytes, durations, infinity. */
export function toJson(value: unknown, budget: ExpressionBudget): Json {
  budget.spendOn(value)
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
      if (Array.isArray(value)) return value.map((item) => toJson(item, budget))
      if (value instanceof Date) return value.toISOString()
      if (value instanceof Map) return mapToJson(value.entries(), budget)
      if (isPlain(value)) return mapToJson(Object.entries(value), budget)
      // The library has its class for CEL's unsigned numbers, and does not export it.
      if (value.constructor.name === "UnsignedInt") return toJson(value.valueOf(), budget)
      throw new Error(`its value is not a JSON value but a ${value.constructor.name}`)
    default:
      throw new Error("its value is not a JSON value")
  }
}

/** How a value stands inside a longer text: a string as it is, null as nothing, the rest as JSON. */
export function textOf(value: Json): string {
  if (value === null) return ""
  return typeof value === "string" ? value : JSON.stringify(value)
}

function mapToJson(entries: Iterable<[unknown, unknown]>, budget: ExpressionBudget): JsonObject {
  return Object.fromEntries(
    [...entries].flatMap(([key, field]) =>
      field === undefined ? [] : [[String(key), toJson(field, budget)]],
    ),
  )
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
