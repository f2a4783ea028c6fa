import type { ErrorObject } from "ajv"
import { hasExpressions } from "./expression.ts"
import { isJsonObject, type Json } from "./json.ts"
import { faultOf, faultsMax, type SchemaFault, typeName } from "./json-schema-fault.ts"
import { nearestName } from "./nearest.ts"

/* What JSON Schema finds in the input of a step, as few and as plain sentences as say it. */

/** Keywords whose errors only say that what is said elsewhere was all of no use. */
const wrappers = ["anyOf", "oneOf", "allOf", "if"]
/** Each is compared with the others, and one fault has several. */
const errorsMax = 1_000

/**
 * What is told of a step's input, one fault for each place, at most 100. An unknown or a missing input is of the severity `error`, all
 * else is a warning: what is made of a driver's schema may be stricter than the schema. A value that is or
 * holds an expression has no fault. Errors below `ignored` in the schema are of what takes expressions.
 */
export function inputFaultsOf(
  all: readonly ErrorObject[],
  { driver, at, ignored, roots }: InputPlace,
): readonly SchemaFault[] {
  const errors = all.slice(0, errorsMax)
  const inputs = errors.filter((error) => isOfInput(error, roots))
  const names = inputNames(inputs, { driver, at })
  const values = errors.filter(
    (error) =>
      !inputs.includes(error) && !error.schemaPath.startsWith(ignored) && !hasExpressions(error.data as Json),
  )
  const telling = values.filter((error) => isTelling(error, values))
  const byPlace = Map.groupBy(telling, ({ instancePath }) => instancePath)
  const faults = [...byPlace.values()].map((found): SchemaFault => {
    const fault = faultOfPlace(found, at)
    const message = `The driver "${driver}" may refuse this: ${fault.message}`
    return { ...fault, message, severity: "warning" }
  })
  return [...names, ...faults].slice(0, faultsMax)
}

/** Whose input it is, where it stands, and how errors are told apart by their places in the schema. */
export interface InputPlace {
  readonly driver: string
  readonly at: string
  readonly ignored: string
  /** Where the schema of the input as a whole is. */
  readonly roots: readonly string[]
}

/** Is it about an input as a whole, unknown or missing, and of no alternative? */
function isOfInput({ instancePath, keyword, schemaPath }: ErrorObject, roots: readonly string[]): boolean {
  if (instancePath !== "" || !["additionalProperties", "required"].includes(keyword)) return false
  return roots.some((root) => schemaPath === `${root}/${keyword}`)
}

/** One slip is one fault: an input that is misspelt is not also said to be missing. */
function inputNames(
  errors: readonly ErrorObject[],
  { driver, at }: Pick<InputPlace, "driver" | "at">,
): readonly SchemaFault[] {
  const unknown = errors.flatMap((error): SchemaFault[] => {
    if (error.keyword !== "additionalProperties") return []
    const name = String(error.params["additionalProperty"])
    const { properties } = error.parentSchema ?? {}
    const known = isJsonObject(properties) ? Object.keys(properties) : []
    const nearest = nearestName(name, known)
    const there = nearest === undefined && known.length > 0 ? `; there are ${known.join(", ")}` : ""
    return [
      {
        ...faultOf(error, at),
        message: `The driver "${driver}" has no input "${name}"${there}`,
        severity: "error",
      },
    ]
  })
  const meant = new Set(unknown.map(({ nearest }) => nearest))
  const missing = errors.flatMap((error): SchemaFault[] => {
    const name = String(error.params["missingProperty"])
    if (error.keyword !== "required" || meant.has(name)) return []
    const message = `The driver "${driver}" needs the input "${name}", which is missing`
    return [{ ...faultOf(error, at), message, severity: "error" }]
  })
  return [...unknown, ...missing]
}

/**
 * Of the errors of alternatives, those of the one that came nearest: where the type is right in one of them, what is said
 * there counts, and not that another one wants another type.
 */
function isTelling(error: ErrorObject, all: readonly ErrorObject[]): boolean {
  const isVague = (keyword: string) => keyword === "type" || wrappers.includes(keyword)
  if (!isVague(error.keyword)) return true
  return !all.some(({ keyword, instancePath }) => {
    if (instancePath.startsWith(`${error.instancePath}/`)) return true
    if (instancePath !== error.instancePath) return false
    return error.keyword === "type" ? !isVague(keyword) : !wrappers.includes(keyword)
  })
}

function faultOfPlace(errors: readonly ErrorObject[], at: string): SchemaFault {
  const [first] = errors
  if (first === undefined) throw new Error("A place has an error")
  if (first.keyword !== "type") return faultOf(first, at)
  const types = new Set(errors.flatMap(({ params }) => [params["type"]].flat().map(String)))
  const message = `Expected ${[...types].join(" or ")}, found ${typeName(first.data)}`
  return { message, path: at + first.instancePath }
}
