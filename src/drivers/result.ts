import { messageOf } from "../errors.ts"
import type { AttemptResult, DriverResult } from "../model/driver.ts"
import { type Json, jsonDepthMax } from "../model/json.ts"
import { shortened } from "../model/shortened.ts"

const expected =
  "expected nothing or { success: boolean, message?: string, data?: JSON, retryable?: boolean }"

/** A failed attempt's result. */
export function failure(message: string): DriverResult {
  return { success: false, message }
}

/** The result of an attempt that would fail again. */
export function lastingFailure(message: string): AttemptResult {
  return { ...failure(message), retryable: false }
}

/**
 * Reads what a driver returned. Nothing is success; what is not a driver result is a failure whose message says what
 * was returned and what was expected. `data` is copied as JSON would carry it.
 */
export function readResult(returned: unknown): AttemptResult {
  if (returned === undefined || returned === null) return { success: true, message: "" }
  if (typeof returned !== "object" || Array.isArray(returned)) return badResult(returned)
  const { success, message = "", data, retryable = true } = returned as Record<string, unknown>
  if (typeof success !== "boolean" || typeof message !== "string" || typeof retryable !== "boolean")
    return badResult(returned)
  try {
    return {
      success,
      message,
      ...(data === undefined ? {} : { data: asJson(data, "data") }),
      ...(success || retryable ? {} : { retryable: false }),
    }
  } catch (error) {
    if (!(error instanceof NotJson)) throw error
    return failure(`The driver returned data that is not JSON: ${error.message}`)
  }
}

/** Reads what a driver threw: an error, or anything else, that may say `retryable: false`. */
export function readThrown(thrown: unknown): AttemptResult {
  const message = messageOf(thrown) || "The driver threw an error without a message"
  const isLasting =
    typeof thrown === "object" && thrown !== null && "retryable" in thrown && thrown.retryable === false
  return isLasting ? lastingFailure(message) : failure(message)
}

/** How much of what a driver gave is shown where it is no result. */
const shownMax = 200

/** Reads what an executable printed on its standard output: JSON, or nothing. */
export function readPrintedResult(text: string): AttemptResult {
  if (text.trim() === "") return readResult(undefined)
  try {
    return readResult(JSON.parse(text))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return failure(
      `The driver printed ${JSON.stringify(shortened(text.trim(), shownMax))} on its standard output; ${expected} as JSON`,
    )
  }
}

function badResult(returned: unknown): DriverResult {
  return failure(`The driver returned ${show(returned)}; ${expected}`)
}

function show(value: unknown): string {
  if (typeof value === "function") return "a function"
  if (typeof value === "bigint") return `the BigInt ${value}n`
  if (typeof value === "symbol") return "a symbol"
  try {
    return shortened(JSON.stringify(value) ?? typeof value, shownMax)
  } catch {
    return `an object with the fields ${Object.keys(value as object).join(", ")}`
  }
}

class NotJson extends Error {}

/** A copy of the value as JSON would carry it. Throws an error that names the place, below `path`, which is not JSON. */
export function asJson(value: unknown, path: string): Json {
  return toJson(value, { path, depthMax: jsonDepthMax })
}

function toJson(value: unknown, at: { readonly path: string; readonly depthMax: number }): Json {
  if (at.depthMax < 0) throw new NotJson(`it is nested over ${jsonDepthMax} levels deep`)
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      if (!Number.isFinite(value)) throw new NotJson(`${at.path} is ${value}`)
      return value
    case "bigint":
      throw new NotJson(`${at.path} is a BigInt`)
    case "object":
      return objectToJson(value, at)
    default:
      throw new NotJson(`${at.path} is a ${typeof value}`)
  }
}

function objectToJson(
  value: object | null,
  { path, depthMax }: { readonly path: string; readonly depthMax: number },
): Json {
  if (value === null) return null
  if (Array.isArray(value)) {
    return value.map((item, index) => toJson(item, { path: `${path}[${index}]`, depthMax: depthMax - 1 }))
  }
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return toJson(value.toJSON(), { path, depthMax: depthMax - 1 })
  }
  const copy: Record<string, Json> = {}
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined) continue
    // Defined, not assigned: an assigned `__proto__` would vanish.
    Object.defineProperty(copy, name, {
      value: toJson(field, { path: `${path}.${name}`, depthMax: depthMax - 1 }),
      enumerable: true,
      writable: true,
      configurable: true,
    })
  }
  return copy
}
