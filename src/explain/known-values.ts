import { messageOf } from "../errors.ts"
import { evaluateExpressions } from "../model/expression.ts"
import { compileText, type ExpressionProgram } from "../model/expression-program.ts"
import { readsOfProgram, readsOfText } from "../model/expression-reads.ts"
import { textOf } from "../model/expression-value.ts"
import { isJsonObject, type Json, type JsonObject } from "../model/json.ts"
import { escapePointer } from "../model/json-pointer.ts"
import { isKnown, type Knowledge } from "./condition-outlook.ts"

/** How a value is looked at before all it reads is known. */
export interface Looking {
  readonly knowledge: Knowledge
  /** The variables that are shown; what reads another one stands as it is written. */
  readonly shownVariables: ReadonlySet<string>
  /** What messages call the whole. */
  readonly of: string
}

/**
 * A value with those of its expressions evaluated that read nothing but what is known and may be shown; the others stand
 * in it as they are written. Throws, with the message of a run, for one that is known to have no value.
 */
export function knownValue(value: JsonObject, looking: Looking): JsonObject
export function knownValue(value: Json, looking: Looking, path?: string): Json
export function knownValue(value: Json, looking: Looking, path = ""): Json {
  if (typeof value === "string") return value.includes("${{") ? knownText(value, looking, path) : value
  if (Array.isArray(value)) {
    return value.map((item: Json, index) => knownValue(item, looking, `${path}/${index}`))
  }
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      knownValue(field, looking, `${path}/${escapePointer(key)}`),
    ]),
  )
}

function knownText(text: string, looking: Looking, path: string): Json {
  const values = compileText(text).map((part): Json => {
    if (part.type === "text") return part.text
    const written = `\${{ ${part.expression} }}`
    if (part.type === "program" && !isKnown(part.tree, looking.knowledge)) return written
    const value = evaluated(written, looking, path)
    return part.type === "program" && isHidden(part, looking) ? written : value
  })
  return values.length === 1 ? (values[0] as Json) : values.map(textOf).join("")
}

/** Does this text read anything that is not known yet? */
export function isOpen(text: string, knowledge: Knowledge): boolean {
  return readsOfText(text).some((read) => knowledge.openUntil(read) !== undefined)
}

function evaluated(written: string, { knowledge, of }: Looking, path: string): Json {
  try {
    return evaluateExpressions(written, knowledge.scope)
  } catch (error) {
    const where = path === "" ? "" : `, in ${path} of ${of}`
    throw new Error(`${messageOf(error)}${where}`, { cause: error })
  }
}

/** What a host lets expressions read may still be no business of whoever reads a plan. */
function isHidden(program: ExpressionProgram, { shownVariables }: Looking): boolean {
  return readsOfProgram(program).reads.some(
    ({ root, members: [name] }) => root === "env" && !(typeof name === "string" && shownVariables.has(name)),
  )
}
