import * as v from "valibot"

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** The deepest nesting a document may have. Real ones stay below 20; parsers and walkers overflow near 10,000. */
export const jsonDepthMax = 100

/**
 * Accepts plain JSON values only: what `JSON.parse` or a YAML parser returns. Refuses nesting over
 * {@link jsonDepthMax}, because everything after this point may recurse.
 */
export const jsonSchema = v.custom<Json>((value) => isJson(value, jsonDepthMax), "Expected a JSON value")

export const jsonObjectSchema = v.custom<JsonObject>(
  (value) => isJsonObject(value) && isJson(value, jsonDepthMax),
  "Expected a mapping of names to JSON values",
)

/** Is it a JSON object (not null, not an array)? Looks at the top level only. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** Is it a list of strings and nothing else? */
export function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string")
}

function isJson(value: unknown, depthMax: number): boolean {
  if (depthMax < 0) return false
  switch (typeof value) {
    case "string":
    case "boolean":
      return true
    case "number":
      return Number.isFinite(value)
    case "object":
      if (value === null) return true
      if (Array.isArray(value)) return value.every((item) => isJson(item, depthMax - 1))
      return (
        (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null) &&
        Object.values(value).every((item) => isJson(item, depthMax - 1))
      )
    default:
      return false
  }
}

/**
 * One text for one value: keys sorted, no white space. Two values that are equal as JSON have the same text, so a
 * hash of it identifies content however it was written down.
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  if (isJsonObject(value)) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`)
    return `{${fields.join(",")}}`
  }
  return JSON.stringify(value)
}
