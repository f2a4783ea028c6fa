import type { Ajv as AjvType, AnySchema, ErrorObject, Options } from "ajv"
import { ConveyorError, messageOf } from "../errors.ts"
import type { Fault } from "../model/fault.ts"
import { isJsonObject, type Json } from "../model/json.ts"
import { nearestName } from "../model/nearest.ts"
import { type Budget, boundedRegExp, newBudget, PatternTooSlow } from "./bounded-regexp.ts"
import { escapePointer } from "./request.ts"

type SchemaDocument = boolean | { readonly [key: string]: Json }

/** Checks a value against a compiled schema: every fault (at most 100) with its path below `at`; none when it is valid. */
export type SchemaCheck = (value: Json, at: string) => readonly Fault[]

const faultsMax = 100
const drafts = {
  "http://json-schema.org/draft-04/schema": "4",
  "http://json-schema.org/draft-06/schema": "7",
  "http://json-schema.org/draft-07/schema": "7",
  "https://json-schema.org/draft/2020-12/schema": "2020-12",
} as const
type Draft = (typeof drafts)[keyof typeof drafts]

/**
 * Compiles a JSON Schema of draft 4, 6, 7 or 2020-12, told by `$schema` (default 7). Throws `INVALID` with the faults of
 * a schema that is none; it never fetches what a `$ref` names. Formats are annotations, not checks. A pattern that takes
 * too long on a value is a fault of that value.
 */
export async function compileSchema(schema: SchemaDocument): Promise<SchemaCheck> {
  const budget = newBudget()
  const ajv = await ajvOf(draftOf(schema), budget)
  const { $schema: _, ...plain } = isJsonObject(schema) ? schema : {}
  const document: AnySchema = isJsonObject(schema) ? plain : schema
  try {
    const validate = ajv.compile(document)
    return (value, at) => {
      budget.reset()
      try {
        return validate(value) ? [] : faultsOf(validate.errors ?? [], at)
      } catch (error) {
        if (error instanceof PatternTooSlow) return [{ message: error.message, path: at }]
        throw error
      }
    }
  } catch (error) {
    const faults = ajv.errors
      ? faultsOf(ajv.errors, "/schema")
      : [{ message: messageOf(error), path: "/schema" }]
    throw new ConveyorError("INVALID", "The schema is not a JSON Schema", { faults, cause: error })
  }
}

function draftOf(schema: SchemaDocument): Draft {
  const named = isJsonObject(schema) ? schema["$schema"] : undefined
  if (named === undefined) return "7"
  const uri = String(named)
    .replace(/#$/, "")
    .replace(/^https?:\/\/json-schema\.org\/(draft-0)/, "http://json-schema.org/$1")
  const draft = Object.hasOwn(drafts, uri) ? drafts[uri as keyof typeof drafts] : undefined
  if (draft !== undefined) return draft
  const nearest = nearestName(uri, Object.keys(drafts))
  throw new ConveyorError("INVALID", "The schema is of a draft that is not known", {
    faults: [
      {
        message: `Expected one of ${Object.keys(drafts).join(", ")}`,
        path: "/schema/$schema",
        ...(nearest === undefined ? {} : { nearest }),
      },
    ],
  })
}

/** A new one for each schema, so that no `$id` of one reaches another. Loaded when first needed: not every host does. */
async function ajvOf(draft: Draft, budget: Budget): Promise<AjvType> {
  const options: Options = {
    allErrors: true,
    verbose: true,
    strict: false,
    validateFormats: false,
    logger: false,
    addUsedSchema: false,
    code: { regExp: boundedRegExp(budget) },
  }
  switch (draft) {
    case "4":
      return new (await import("ajv-draft-04")).default(options)
    case "7":
      return new (await import("ajv")).Ajv(options)
    case "2020-12":
      return new (await import("ajv/dist/2020.js")).Ajv2020(options)
    default:
      return draft satisfies never
  }
}

function faultsOf(errors: readonly ErrorObject[], at: string): Fault[] {
  return errors.slice(0, faultsMax).map((error) => faultOf(error, at))
}

function faultOf(error: ErrorObject, at: string): Fault {
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
  const message = error.message ?? "does not match the schema"
  return { message: message.replace(/^must /, "Expected to "), path }
}
