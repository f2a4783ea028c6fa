import type { Ajv as AjvType, AnySchema, Options, ValidateFunction } from "ajv"
import { type Budget, boundedRegExp, newBudget, PatternTooSlow } from "./bounded-regexp.ts"
import type { Fault } from "./fault.ts"
import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import { faultsOf, type SchemaErrors, type SchemaFault } from "./json-schema-fault.ts"
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

const drafts = {
  "http://json-schema.org/draft-04/schema": "4",
  "http://json-schema.org/draft-06/schema": "7",
  "http://json-schema.org/draft-07/schema": "7",
  "https://json-schema.org/draft/2020-12/schema": "2020-12",
} as const
type Draft = (typeof drafts)[keyof typeof drafts]

/** A schema that can be checked with, or why it cannot. */
export type CompiledSchema = { readonly check: SchemaCheck } | { readonly faults: readonly SchemaFault[] }

/**
 * Compiles a JSON Schema of draft 4, 6, 7 or 2020-12, told by `$schema` (default 7); a schema that is none has faults,
 * one to a place; so has one with a default that is not valid where it would be filled in. It never fetches what a `$ref`
 * names. Formats are annotations, not checks. A pattern that takes too long on a value is a fault of that value.
 * `words` says what is told of the errors of a value; default: each.
 */
export async function compileSchema(
  schema: SchemaDocument,
  { words = faultsOf }: { readonly words?: SchemaErrors } = {},
): Promise<CompiledSchema> {
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
    const check = checkWith(ajv.compile(document), { budget, words })
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
  const check = checkWith(ajv.compile({ properties: { ...fields } }), { budget, words: faultsOf })
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
  { budget, words }: { readonly budget: Budget; readonly words: SchemaErrors },
): (value: Json, at: string) => readonly SchemaFault[] {
  return (value, at) => {
    budget.reset()
    try {
      return validate(value) ? [] : words(validate.errors ?? [], at)
    } catch (error) {
      if (error instanceof PatternTooSlow) return [{ message: error.message, path: at }]
      const why = uncheckable(error)
      if (why === undefined) throw error
      return [{ message: `The value cannot be checked: ${why}`, path: at }]
    }
  }
}

/** What a schema and a value can do to their check; undefined for what must not be. */
function uncheckable(error: unknown): string | undefined {
  if (error instanceof RangeError) return "the schema refers to itself without end"
  // What `const` and `enum` are compared by calls these of the value.
  return error instanceof TypeError ? "a field of it is named toString or valueOf" : undefined
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
