import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import { parseDuration } from "../model/duration.ts"
import { isName } from "../model/name.ts"
import { openIssues, schemaFault } from "../model/schema-fault.ts"
import { isUuid } from "../model/uuid.ts"
import { findJsonFault } from "./json-fault.ts"
import { HttpError, notFound } from "./problem.ts"

/** The largest body that is read. */
export const bodyBytesMax = 1024 * 1024
/** The longest `?wait`. */
export const waitMsMax = 300_000

/** The body as JSON. Refuses what is over {@link bodyBytesMax} without reading it, and says where JSON ends. */
export async function readJson(request: Request): Promise<unknown> {
  return parseJson(await readText(request))
}

/**
 * The body read with a schema; unknown fields are dropped, and one that is null counts as one that is not there, as
 * older clients send them. `defaults` are for fields the path already names.
 */
export async function readBody<Schema extends v.GenericSchema>(
  request: Request,
  schema: Schema,
  defaults: Readonly<Record<string, string>> = {},
): Promise<v.InferOutput<Schema>> {
  return parseBody(await readJson(request), schema, defaults)
}

/** The body as an object, before any schema: without its nulls, and with `defaults` for fields the path names. */
export async function readObject(
  request: Request,
  defaults: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, unknown>>> {
  return objectOf(await readJson(request), defaults)
}

/** What {@link readBody} reads, where no body at all stands for an empty object. */
export async function readOptionalBody<Schema extends v.GenericSchema>(
  request: Request,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  const text = await readText(request)
  return parseBody(text === "" ? {} : parseJson(text), schema)
}

/** Reads a value with a schema; throws `INVALID` with the JSON Pointer of each fault. */
export function parseAs<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  throw new ConveyorError("INVALID", "The body does not validate", {
    faults: openIssues(result.issues).map(schemaFault),
  })
}

/** A name from a path. What cannot be a name cannot be there: `NOT_FOUND`. */
export function nameParameter(name: string | undefined, what: string): string {
  if (name === undefined || !isName(name)) throw notFound(what, name ?? "")
  return name
}

/** A run's id from a path or body. */
export function runIdParameter(runId: string | undefined): string {
  if (runId === undefined || !isUuid(runId)) throw notFound("run", runId ?? "")
  return runId
}

/** `?wait=30s` in milliseconds, at most {@link waitMsMax}; 0 when it is not there. */
export function waitMs(query: URLSearchParams): number {
  const wait = query.get("wait")
  if (wait === null) return 0
  const ms = parseDuration(wait)
  if (ms === undefined)
    throw invalidQuery("wait", `Expected a duration such as "30s", not ${JSON.stringify(wait)}`)
  return Math.min(ms, waitMsMax)
}

/** `INVALID` for one parameter of the query. */
export function invalidQuery(name: string, message: string): ConveyorError {
  return new ConveyorError("INVALID", `The query parameter "${name}" does not validate`, {
    faults: [{ message, path: `?${name}` }],
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    const { line, column, expected } = findJsonFault(text)
    throw new HttpError(
      "MALFORMED",
      `The body is not JSON: expected ${expected} at line ${line}, column ${column}`,
    )
  }
}

function parseBody<Schema extends v.GenericSchema>(
  body: unknown,
  schema: Schema,
  defaults: Readonly<Record<string, string>> = {},
): v.InferOutput<Schema> {
  return parseAs(schema, objectOf(body, defaults))
}

function objectOf(body: unknown, defaults: Readonly<Record<string, string>>): Record<string, unknown> {
  if (isPlainObject(body)) return { ...defaults, ...withoutNulls(body) }
  throw new ConveyorError("INVALID", "The body does not validate", {
    faults: [{ message: "Expected an object", path: "" }],
  })
}

async function readText(request: Request): Promise<string> {
  const declared = request.headers.get("content-length")
  if (declared !== null) {
    if (Number(declared) > bodyBytesMax) throw tooLarge()
    return request.text()
  }
  const decoder = new TextDecoder()
  let bytes = 0
  let text = ""
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > bodyBytesMax) throw tooLarge()
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function tooLarge(): ConveyorError {
  return new ConveyorError("TOO_LARGE", `The body is over ${bodyBytesMax} bytes`)
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function withoutNulls(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
}
