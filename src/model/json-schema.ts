import type { Ajv as AjvType, AnySchema, ErrorObject, Options, ValidateFunction } from "ajv"
import { type Budget, boundedRegExp, newBudget, PatternTooSlow } from "./bounded-regexp.ts"
import type { Fault } from "./fault.ts"
import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import { escapePointer } from "./json-pointer.ts"
import { nearestName } from "./nearest.ts"
import { defaultsIn, type SchemaDefault, withDefaults } from "./schema-defaults.ts"

type SchemaDocument = boolean | { readonly [key: string]: Json }

/**
 * Checks a value against a compiled schema, once it has the defaults of fields that are not there: every fault (at most
 * 100) with its path below `at`; none when it is valid.
 */
export type SchemaCheck = (value: Json, at: string) => CheckedValue
/** The value with its defaults, and what is wrong with it. */
export interface CheckedValue {
  readonly value: Json
  readonly faults: readonly Fault[]
}

const faultsMax = 100
const drafts = {
  "http://json-schema.org/draft-04/schema": "4",
  "http://json-schema.org/draft-06/schema": "7",
  "http://json-schema.org/draft-07/schema": "7",
  "https://json-schema.org/draft/2020-12/schema": "2020-12",
} as const
type Draft = (typeof drafts)[keyof typeof drafts]

/** A schema that can be checked with, or why it cannot. */
export type CompiledSchema = { readonly check: SchemaCheck } | { readonly faults: readonly SchemaFault[] }
/** A fault with its path below `/schema`. */
export type SchemaFault = Fault & { readonly path: string }

/**
 * Compiles a JSON Schema of draft 4, 6, 7 or 2020-12, told by `$schema` (default 7); a schema that is none has faults,
 * one to a place; so has one with a default that is not valid where it would be filled in. It never fetches what a `$ref`
 * names. Formats are annotations, not checks. A pattern that takes too long on a value is a fault of that value.
 */
export async function compileSchema(schema: SchemaDocument): Promise<CompiledSchema> {
  const draft = draftOf(schema)
  if (typeof draft !== "string") return { faults: [draft] }
  const { $schema: _, ...plain } = isJsonObject(schema) ? schema : {}
  const document: AnySchema = isJsonObject(schema) ? plain : schema
  const faults = await draftFaults(draft, document)
  if (faults.length > 0) return { faults }
  const budget = newBudget()
  try {
    // A new one for each schema, so that no `$id` of one reaches another.
    const ajv = await ajvOf(draft, { validateSchema: false, code: { regExp: boundedRegExp(budget) } })
    const check = checkWith(ajv.compile(document), budget)
    const defaults = defaultsIn(plain)
    const ofDefaults = defaults.length === 0 ? [] : defaultFaults(defaults, { ajv, document: plain, budget })
    if (ofDefaults.length > 0) return { faults: ofDefaults }
    return {
      check(value, at) {
        const filled = defaults.length === 0 ? value : withDefaults(plain, value)
        return { value: filled, faults: check(filled, at) }
      },
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return { faults: [{ message: `The schema does not compile: ${error.message}`, path: "/schema" }] }
  }
}

/** What is wrong with defaults, each against the schema of its field. The document was compiled before, by the same Ajv. */
function defaultFaults(
  defaults: readonly SchemaDefault[],
  {
    ajv,
    document,
    budget,
  }: { readonly ajv: AjvType; readonly document: JsonObject; readonly budget: Budget },
): readonly SchemaFault[] {
  const idField = ajv.opts.schemaId ?? "$id"
  const own = document[idField]
  const id = own ? String(own).replace(/#$/, "") : "schema"
  if (!own) ajv.addSchema({ ...document, [idField]: id })
  const fields = defaults.map(({ pointer }) => ({
    $ref: `${id}#${pointer.split("/").map(encodeURIComponent).join("/")}`,
  }))
  const check = checkWith(ajv.compile({ properties: { ...fields } }), budget)
  return check({ ...defaults.map(({ value }) => value) }, "").map(({ path, ...fault }) => {
    const [, index, ...below] = path.split("/")
    const of = defaults[Number(index)]
    // A pattern that takes too long is of no one of them.
    const place = of === undefined ? "/schema" : [`/schema${of.pointer}/default`, ...below].join("/")
    return { ...fault, message: `The default does not fit: ${fault.message}`, path: place }
  })
}

function checkWith(
  validate: ValidateFunction,
  budget: Budget,
): (value: Json, at: string) => readonly SchemaFault[] {
  return (value, at) => {
    budget.reset()
    try {
      return validate(value) ? [] : faultsOf(validate.errors ?? [], at)
    } catch (error) {
      if (error instanceof PatternTooSlow) return [{ message: error.message, path: at }]
      throw error
    }
  }
}

function draftOf(schema: SchemaDocument): Draft | SchemaFault {
  const named = isJsonObject(schema) ? schema["$schema"] : undefined
  if (named === undefined) return "7"
  const uri = String(named)
    .replace(/#$/, "")
    .replace(/^https?:\/\/json-schema\.org\/(draft-0)/, "http://json-schema.org/$1")
  const draft = Object.hasOwn(drafts, uri) ? drafts[uri as keyof typeof drafts] : undefined
  if (draft !== undefined) return draft
  const nearest = nearestName(uri, Object.keys(drafts))
  return {
    message: `The schema is of a draft that is not known; expected one of ${Object.keys(drafts).join(", ")}`,
    path: "/schema/$schema",
    ...(nearest === undefined ? {} : { nearest }),
  }
}

/** The validators of the drafts themselves: compiling one takes longer than most schemas do. */
const draftValidators = new Map<Draft, Promise<AjvType>>()

/** What the draft says of a schema. One slip breaks several of its rules; the first of a place is told. */
async function draftFaults(draft: Draft, schema: AnySchema): Promise<readonly SchemaFault[]> {
  const validator = draftValidators.get(draft) ?? ajvOf(draft, {})
  draftValidators.set(draft, validator)
  const ajv = await validator
  if (ajv.validateSchema(schema) === true) return []
  const faults = faultsOf(ajv.errors ?? [], "/schema")
  return faults.filter(({ path }, index) => faults.findIndex((fault) => fault.path === path) === index)
}

/** Loaded when first needed: not every host does. */
async function ajvOf(draft: Draft, more: Options): Promise<AjvType> {
  const options: Options = {
    allErrors: true,
    verbose: true,
    strict: false,
    validateFormats: false,
    logger: false,
    // Else a field named "constructor" is always there.
    ownProperties: true,
    ...more,
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

function faultsOf(errors: readonly ErrorObject[], at: string): SchemaFault[] {
  return errors.slice(0, faultsMax).map((error) => faultOf(error, at))
}

function faultOf(error: ErrorObject, at: string): SchemaFault {
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

function typeName(value: unknown): string {
  if (value === null) return "null"
  return Array.isArray(value) ? "array" : typeof value
}
