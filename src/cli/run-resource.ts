import { readFile } from "node:fs/promises"
import * as v from "valibot"
import { ConveyorError, messageOf } from "../errors.ts"
import { isJsonObject, type Json, type JsonObject, jsonSchema } from "../model/json.ts"

/**
 * The body of `POST /resources` for a run from the command line. `resource` is a YAML or JSON file with a whole
 * resource (it then has a `spec` and a `name` or a `resource`) or with only a spec; each of `set` writes one field of
 * the spec. What is left open is made up: the pipeline's kind, and `name`. Throws `NOT_FOUND`, `INVALID` or `USAGE`.
 */
export async function buildResource(input: {
  readonly pipeline: string
  readonly kind: string
  readonly name: string
  readonly resource?: string
  readonly set: readonly string[]
}): Promise<JsonObject> {
  const written = input.resource === undefined ? {} : await readJsonFile(input.resource)
  const whole = isJsonObject(written) && "spec" in written && ("name" in written || "resource" in written)
  const given: JsonObject = whole ? written : { spec: written }
  return {
    name: input.name,
    resource: input.kind,
    ...given,
    pipeline: input.pipeline,
    spec: input.set.reduce(setField, given["spec"] ?? {}),
  }
}

/**
 * `a.b=value`: the value is JSON where it parses as JSON, else the text as it stands. A number that JSON writes in
 * another way is a text: the version `1.10` is not 1.1, and a long id keeps all its digits.
 */
function setField(spec: Json, assignment: string): Json {
  const equals = assignment.indexOf("=")
  const path = assignment.slice(0, equals).split(".")
  if (equals < 1 || path.some((part) => part === "" || part === "__proto__")) {
    throw new ConveyorError("USAGE", `--set expects key=value or a.b=value, not "${assignment}"`)
  }
  return withField(spec, path, readValue(assignment.slice(equals + 1)))
}

function withField(target: Json, [first, ...rest]: readonly string[], value: Json): Json {
  if (first === undefined) return value
  const fields = isJsonObject(target) ? target : {}
  return { ...fields, [first]: withField(fields[first] ?? {}, rest, value) }
}

function readValue(text: string): Json {
  try {
    const value = JSON.parse(text) as Json
    return typeof value === "number" && String(value) !== text ? text : value
  } catch {
    return text
  }
}

async function readJsonFile(file: string): Promise<Json> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new ConveyorError("NOT_FOUND", `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  const { parse } = await import("yaml")
  try {
    return v.parse(jsonSchema, parse(text) ?? {})
  } catch (cause) {
    throw new ConveyorError("INVALID", `${file}: ${messageOf(cause)}`, { cause })
  }
}
