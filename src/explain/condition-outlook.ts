import type { ASTNode } from "@marcbachmann/cel-js"
import { messageOf } from "../errors.ts"
import { type ExpressionScope, evaluateCondition } from "../model/expression.ts"
import { compileCondition } from "../model/expression-program.ts"
import { type ExpressionRead, readsOfProgram, usesStatus } from "../model/expression-reads.ts"
import { type ReadValue, valuesOf } from "../model/expression-values.ts"

/** A condition as far as it can be told now: it may read what is not known yet. */
export interface ConditionOutlook {
  readonly expression: string
  /** It calls no status function, so it means `success() && (…)`. */
  readonly implied?: true
  readonly values: readonly KnownValue[]
  /** `open`: what decides it is not known yet. `error`: it has no value, which fails its step. */
  readonly outcome: "true" | "false" | "open" | "error"
  /** The parts that make it false. */
  readonly falseParts?: readonly string[]
  /** Why it has no value. */
  readonly message?: string
}

/** Something a condition reads. `until`: its value is not known before this, which is told in words; none is shown. */
export type KnownValue = ReadValue & { readonly until?: string }

/** What is known to whoever looks at a condition. */
export interface Knowledge {
  readonly scope: ExpressionScope
  /**
   * What has to come before what this reads is as it will be when the condition is evaluated, in words that follow
   * "until"; undefined where it is so already.
   */
  openUntil(read: ExpressionRead): string | undefined
  /** The same for what `success()` and `failure()` answer. */
  readonly statusOpenUntil: string | undefined
}

/** Looks at a condition before it is evaluated, or again afterwards. Never throws. `implies`: may it imply `success()`? */
export function outlookOf(
  source: string,
  knowledge: Knowledge,
  { implies = true }: { readonly implies?: boolean } = {},
): ConditionOutlook {
  const compiled = compileCondition(source)
  const { expression } = compiled
  const implied = implies && !usesStatus(source) ? ({ implied: true } as const) : {}
  if (compiled.type === "invalid") {
    return { expression, values: [], outcome: "error", message: compiled.fault.message }
  }
  const { tree } = compiled
  const base = { expression, ...implied, values: knownValues(source, tree, knowledge) }
  if (!isKnown(tree, knowledge)) {
    const truth = truthOf(tree, knowledge)
    return { ...base, ...outcomeOf(truth, tree, knowledge) }
  }
  try {
    return { ...base, ...outcomeOf(evaluateCondition(source, knowledge.scope), tree, knowledge) }
  } catch (error) {
    return { ...base, outcome: "error", message: messageOf(error) }
  }
}

function outcomeOf(
  truth: boolean | undefined,
  tree: ASTNode,
  knowledge: Knowledge,
): Pick<ConditionOutlook, "outcome" | "falseParts"> {
  if (truth === undefined) return { outcome: "open" }
  if (truth) return { outcome: "true" }
  const parts = falseParts(tree, knowledge)
  return { outcome: "false", ...(parts.length === 0 ? {} : { falseParts: parts }) }
}

function knownValues(source: string, tree: ASTNode, knowledge: Knowledge): readonly KnownValue[] {
  const open = new Map(
    readsOfProgram({ tree }).reads.map((read) => [read.expression, knowledge.openUntil(read)]),
  )
  return valuesOf(source, knowledge.scope).map((read) => {
    const until = isStatusCall(read.expression) ? knowledge.statusOpenUntil : open.get(read.expression)
    return until === undefined ? read : { expression: read.expression, until }
  })
}

/** Does this call one of the functions whose answer depends on how steps ended? */
export function isStatusCall(expression: string): boolean {
  return expression === "success()" || expression === "failure()"
}

/** Is all that this part reads known for good? */
export function isKnown(tree: ASTNode, knowledge: Knowledge): boolean {
  const { reads, statusCalls } = readsOfProgram({ tree })
  const asks = statusCalls.some(({ name }) => name !== "always")
  if (asks && knowledge.statusOpenUntil !== undefined) return false
  return reads.every((read) => knowledge.openUntil(read) === undefined)
}

/** As CEL has it: one part that decides is enough, whatever the others are. Undefined where nothing decides yet. */
function truthOf(node: ASTNode, knowledge: Knowledge): boolean | undefined {
  switch (node.op) {
    case "&&":
      return decided(node.args, false, knowledge)
    case "||":
      return decided(node.args, true, knowledge)
    case "!_": {
      const truth = truthOf(node.args, knowledge)
      return truth === undefined ? undefined : !truth
    }
    case "?:": {
      const [condition, yes, no] = node.args
      const truth = truthOf(condition, knowledge)
      return truth === undefined ? undefined : truthOf(truth ? yes : no, knowledge)
    }
    default:
      return isKnown(node, knowledge) ? answerOf(node, knowledge) : undefined
  }
}

function decided(parts: readonly ASTNode[], decisive: boolean, knowledge: Knowledge): boolean | undefined {
  const truths = parts.map((part) => truthOf(part, knowledge))
  if (truths.includes(decisive)) return decisive
  return truths.includes(undefined) ? undefined : !decisive
}

function answerOf(node: ASTNode, { scope }: Knowledge): boolean | undefined {
  try {
    return evaluateCondition(textOf(node), scope)
  } catch {
    return undefined
  }
}

/** Of what is joined by `&&`, the parts that are false; else the whole. */
function falseParts(node: ASTNode, knowledge: Knowledge): readonly string[] {
  if (node.op !== "&&") return [textOf(node)]
  return node.args.flatMap((part) => (truthOf(part, knowledge) === false ? falseParts(part, knowledge) : []))
}

/** A part as it is written. CEL's places leave out brackets around what stands at a part's beginning or end. */
function textOf({ input, start, end }: ASTNode): string {
  const bare = withoutTexts(input)
  const { unopened, unclosed } = bracketsOf(bare.slice(start, end))
  const before = /[(\s]*$/.exec(bare.slice(0, start))?.[0] ?? ""
  const from = unopened === 0 ? start : start - before.length + nthBracket(before, -unopened)
  const after = /^[)\s]*/.exec(bare.slice(end))?.[0] ?? ""
  const to = unclosed === 0 ? end : end + nthBracket(after, unclosed) + 1
  return input.slice(from, to)
}

/** Texts, raw ones and those in three quotes among them, and comments. */
const textsAndComments =
  /[rR](?:"""[\s\S]*?"""|'''[\s\S]*?'''|"[^"]*"|'[^']*')|("""|'''|"|')(?:\\[\s\S]|(?!\1)[^\\])*\1|\/\/[^\n]*/g

/** The same expression, as long as it is, without what may hold brackets that are none. */
function withoutTexts(input: string): string {
  return input.replace(textsAndComments, (found) => (found.startsWith("//") ? " " : "_").repeat(found.length))
}

/** How many round brackets are closed without being opened, and opened without being closed. */
function bracketsOf(text: string): { readonly unopened: number; readonly unclosed: number } {
  let unopened = 0
  let unclosed = 0
  for (const [bracket] of text.matchAll(/[()]/g)) {
    if (bracket === "(") unclosed++
    else if (unclosed > 0) unclosed--
    else unopened++
  }
  return { unopened, unclosed }
}

/** Where the nth bracket stands in a text of brackets and spaces; from its end when n is negative. */
function nthBracket(text: string, n: number): number {
  return [...text.matchAll(/[()]/g)].at(n > 0 ? n - 1 : n)?.index ?? 0
}
