import { TypeError as CelTypeError, Environment, EvaluationError, ParseError } from "@marcbachmann/cel-js"
import { parseTemplate, type TemplatePart } from "./expression-template.ts"
import type { Fault } from "./fault.ts"
import { nearestName } from "./nearest.ts"

/** The names an expression may begin with. */
export const expressionRoots = ["resource", "metadata", "results", "steps", "run", "event"] as const

/** An expression ready to run. `run` throws what CEL throws. */
export interface ExpressionProgram {
  readonly type: "program"
  readonly expression: string
  readonly run: (scope: Record<string, unknown>) => unknown
}
/** A part of a text, its expression compiled, or what is wrong with it. */
export type CompiledPart =
  | { readonly type: "text"; readonly text: string }
  | ExpressionProgram
  | { readonly type: "invalid"; readonly expression: string; readonly fault: Fault }

/** How many texts stay compiled: more than the steps of a busy host, and a few megabytes at the most. */
const compiledMax = 1_000
const compiledTexts = new Map<string, readonly CompiledPart[]>()

/** The parts of a text in order. The most recent ones stay compiled. Never throws. */
export function compileText(text: string): readonly CompiledPart[] {
  const known = compiledTexts.get(text)
  if (known !== undefined) return known
  const parts = parseTemplate(text).map(compilePart)
  if (compiledTexts.size >= compiledMax) {
    const oldest = compiledTexts.keys().next()
    if (!oldest.done) compiledTexts.delete(oldest.value)
  }
  compiledTexts.set(text, parts)
  return parts
}

function compilePart(part: TemplatePart): CompiledPart {
  switch (part.type) {
    case "text":
      return part
    case "unterminated":
      return invalid(part.expression, `Expected "}}" at the end of the expression "${part.expression}"`)
    case "expression":
      return compileExpression(part.expression)
    default:
      part satisfies never
      throw new Error("A template's part is text or an expression")
  }
}

function compileExpression(expression: string): CompiledPart {
  if (expression === "") return invalid(expression, "Expected a CEL expression between the braces")
  try {
    const program = environment.parse(expression)
    const { error } = program.check()
    if (error !== undefined) return invalidByCheck(expression, error)
    return { type: "program", expression, run: (scope) => program(scope) }
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown
    return invalid(expression, `The expression "${expression}" is not CEL: ${summaryOf(thrown)}`)
  }
}

function invalidByCheck(expression: string, error: ParseError | CelTypeError): CompiledPart {
  const unknown = error.code === "unknown_variable" ? error.node?.args : undefined
  if (typeof unknown !== "string") {
    return invalid(expression, `The expression "${expression}" cannot be evaluated: ${summaryOf(error)}`)
  }
  const nearest = nearestName(unknown, expressionRoots)
  const message = `The expression "${expression}" uses the unknown name "${unknown}"; expected one of ${expressionRoots.join(", ")}`
  return invalid(expression, message, nearest)
}

function invalid(expression: string, message: string, nearest?: string): CompiledPart {
  return {
    type: "invalid",
    expression,
    fault: { message, ...(nearest === undefined ? {} : { nearest }) },
  }
}

/** What went wrong, in one line: without the excerpt CEL draws around it. */
export function summaryOf(error: Error): string {
  const known =
    error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError
  return known ? error.summary : error.message
}

const environment = makeEnvironment()

function makeEnvironment(): Environment {
  const made = new Environment({ unlistedVariablesAreDyn: false, homogeneousAggregateLiterals: false })
  for (const root of expressionRoots) made.registerVariable(root, "dyn")
  const operators = {
    "+": (a: number, b: number) => a + b,
    "-": (a: number, b: number) => a - b,
    "*": (a: number, b: number) => a * b,
    "/": (a: number, b: number) => a / b,
    "%": (a: number, b: number) => a % b,
  }
  for (const [sign, apply] of Object.entries(operators)) {
    const mixed = (a: number | bigint, b: number | bigint) => apply(Number(a), Number(b))
    made.registerOperator(`int ${sign} double`, mixed)
    made.registerOperator(`double ${sign} int`, mixed)
  }
  made.registerOperator("double % double", operators["%"])
  return made
}
