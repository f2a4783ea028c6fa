import { type ASTNode, TypeError as CelTypeError, EvaluationError, ParseError } from "@marcbachmann/cel-js"
import { checkedEnvironment } from "./expression-environment.ts"
import { faultOfCel } from "./expression-fault.ts"
import { type MeteredProgram, meter } from "./expression-metered.ts"
import { parseTemplate, type TemplatePart } from "./expression-template.ts"
import type { Fault } from "./fault.ts"

/** An expression ready to run. `run` throws what CEL throws. */
export interface ExpressionProgram {
  readonly type: "program"
  readonly expression: string
  /** Where the expression begins in the text it stands in. */
  readonly start: number
  readonly tree: ASTNode
  /** CEL's name for the type of its value, `dyn` where that cannot be told before. */
  readonly valueType: string
  readonly run: MeteredProgram
}
/** An expression that cannot run. `at` is where in its text the fault is. */
export interface InvalidExpression {
  readonly type: "invalid"
  readonly expression: string
  readonly fault: Fault
  readonly at: number
}
/** A part of a text, its expression compiled, or what is wrong with it. */
export type CompiledPart =
  | { readonly type: "text"; readonly text: string }
  | ExpressionProgram
  | InvalidExpression

/** How many texts stay compiled, more than the steps of a busy host; and the longest of them, so that it is bounded. */
const compiledMax = 1_000
const compiledLengthMax = 10_000

/** The parts of a text in order. The most recent ones stay compiled. Never throws. */
export const compileText = remembering((text): readonly CompiledPart[] =>
  parseTemplate(text).map(compilePart),
)

/** A condition: CEL as it is, or inside one `${{ }}`. Remembered as texts are. Never throws. */
export const compileCondition = remembering((source): ExpressionProgram | InvalidExpression => {
  if (!source.includes("${{")) return compileExpression(source.trim(), source.search(/\S|$/))
  const [part, ...more] = compileText(source.trim())
  if (part !== undefined && part.type !== "text" && more.length === 0) return part
  const message = `Expected one CEL expression, found "${source}" with text around it`
  return { type: "invalid", expression: source, fault: { message }, at: 0 }
})

function remembering<T>(compile: (text: string) => T): (text: string) => T {
  const compiled = new Map<string, T>()
  return (text) => {
    const known = compiled.get(text)
    if (known !== undefined) return known
    const made = compile(text)
    if (text.length > compiledLengthMax) return made
    if (compiled.size >= compiledMax) {
      const oldest = compiled.keys().next()
      if (!oldest.done) compiled.delete(oldest.value)
    }
    compiled.set(text, made)
    return made
  }
}

function compilePart(part: TemplatePart): CompiledPart {
  switch (part.type) {
    case "text":
      return part
    case "unterminated": {
      const message = `Expected "}}" at the end of the expression "${part.expression}"`
      return { type: "invalid", expression: part.expression, fault: { message }, at: part.start }
    }
    case "expression":
      return compileExpression(part.expression, part.start)
    default:
      part satisfies never
      throw new Error("A template's part is text or an expression")
  }
}

function compileExpression(expression: string, start: number): ExpressionProgram | InvalidExpression {
  if (expression === "") {
    return {
      type: "invalid",
      expression,
      fault: { message: "Expected a CEL expression, found nothing" },
      at: start,
    }
  }
  try {
    const program = checkedEnvironment.parse(expression)
    const { type = "dyn", error } = program.check()
    if (error !== undefined) throw error
    return { type: "program", expression, start, tree: program.ast, valueType: type, run: meter(program.ast) }
  } catch (thrown) {
    const isCel = thrown instanceof ParseError || thrown instanceof CelTypeError
    // Over types that depend on an empty list, the library's check may fail with an error of its own.
    const fault = isCel
      ? faultOfCel(expression, thrown)
      : { message: `The expression "${expression}" cannot be evaluated: its types do not fit together` }
    return { type: "invalid", expression, fault, at: start + (isCel ? (thrown.range?.start ?? 0) : 0) }
  }
}

/** What went wrong, in one line: without the excerpt CEL draws around it. */
export function summaryOf(error: Error): string {
  const known =
    error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError
  return known ? error.summary : error.message
}
