import type { ErrorObject } from "ajv"
import type { Fault } from "./fault.ts"
import { isJsonObject } from "./json.ts"
import { escapePointer } from "./json-pointer.ts"
import { nearestName } from "./nearest.ts"

/* What JSON Schema finds, in words for people. */

/** A fault with its path. */
export type SchemaFault = Fault & { readonly path: string }

/** What is told of what JSON Schema finds in a value; paths are below `at`. */
export type SchemaErrors = (errors: readonly ErrorObject[], at: string) => readonly SchemaFault[]

/** So many faults of one value are told: nobody reads more. */
export const faultsMax = 100

/** The first of these errors, at most 100, with their paths below `at`. */
export function faultsOf(errors: readonly ErrorObject[], at: string): SchemaFault[] {
  return errors.slice(0, faultsMax).map((error) => faultOf(error, at))
}

/** One error in words. */
export function faultOf(error: ErrorObject, at: string): SchemaFault {
  const path = at + error.instancePath
  const params: Readonly<Record<string, unknown>> = error.params
  const missing = params["missingProperty"]
  if (typeof missing === "string") {
    return { message: `Expected the field "${missing}"`, path: `${path}/${escapePointer(missing)}` }
  }
  const unknown = params["additionalProperty"] ?? params["unevaluatedProperty"]
  if (typeof unknown === "string") {
    const known = isJsonObject(error.parentSchema?.["properties"])
      ? Object.keys(error.parentSchema["properties"])
      : []
    const nearest = nearestName(unknown, known)
    return {
      message: `The field "${unknown}" is not allowed`,
      path: `${path}/${escapePointer(unknown)}`,
      ...(nearest === undefined ? {} : { nearest }),
    }
  }
  const allowed = params["allowedValues"]
  if (Array.isArray(allowed)) {
    const names = allowed.filter((value): value is string => typeof value === "string")
    const nearest = typeof error.data === "string" ? nearestName(error.data, names) : undefined
    return {
      message: `Expected one of ${allowed
        .slice(0, 10)
        .map((value) => JSON.stringify(value))
        .join(", ")}`,
      path,
      ...(nearest === undefined ? {} : { nearest }),
    }
  }
  return { message: expectationOf(error, params), path }
}

function expectationOf(error: ErrorObject, params: Readonly<Record<string, unknown>>): string {
  if (error.keyword === "type") {
    return `Expected ${[params["type"]].flat().join(" or ")}, found ${typeName(error.data)}`
  }
  if (error.keyword === "const") return `Expected ${JSON.stringify(params["allowedValue"])}`
  const rule = error.message ?? "must match the schema"
  return rule.replace(/^must NOT /, "Expected not to ").replace(/^must /, "Expected to ")
}

/** What JSON Schema calls it, but for whole numbers. */
export function typeName(value: unknown): string {
  if (value === null) return "null"
  return Array.isArray(value) ? "array" : typeof value
}
