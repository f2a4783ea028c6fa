import type { ASTNode } from "@marcbachmann/cel-js"
import { type ExpressionRoot, expressionRoots, statusFunctions } from "./expression-environment.ts"
import { compileCondition, compileText, type ExpressionProgram } from "./expression-program.ts"
import { childrenOf, macroOf } from "./expression-tree.ts"
import { onceFor } from "./once-for.ts"

/** One place where an expression reads from its scope. */
export interface ExpressionRead {
  /** As it is written: `steps.test.data["image"]`. */
  readonly expression: string
  readonly root: ExpressionRoot
  /** The members read in turn, as far as they can be told before it runs; `[]` for the root as a whole. */
  readonly members: readonly (string | number)[]
  /** Is every member told, or does the rest depend on values? */
  readonly isWhole: boolean
  /** Is it only asked whether it is there: `has(steps.test.data)`? */
  readonly isAsked: boolean
  /** Where it begins in its expression. */
  readonly start: number
}

/** What reads are read from: a condition as its source, or any text with `${{ }}` in it. */
export interface ReadsOf {
  readonly reads: readonly ExpressionRead[]
  /** The status functions it calls, each with where it begins in its expression. */
  readonly statusCalls: readonly { readonly name: (typeof statusFunctions)[number]; readonly start: number }[]
  /** Each plain text that something read is compared with: `event == "create"`, `event in ["create"]`. */
  readonly comparisons: readonly ReadComparison[]
}

export interface ReadComparison {
  readonly read: ExpressionRead
  readonly text: string
  /** Where the text begins in its expression. */
  readonly start: number
}

/** All that a condition reads, in the order it is written; nothing for one that is not CEL. */
export function readsOf(source: string): readonly ExpressionRead[] {
  const compiled = compileCondition(source)
  return compiled.type === "program" ? readsOfProgram(compiled).reads : []
}

/** All that the expressions of a text read. */
export function readsOfText(text: string): readonly ExpressionRead[] {
  return compileText(text).flatMap((part) => (part.type === "program" ? readsOfProgram(part).reads : []))
}

/** Does a condition call `success()`, `failure()` or `always()`? Without one it means `success() && (…)`. */
export function usesStatus(source: string): boolean {
  const compiled = compileCondition(source)
  return compiled.type === "program" && readsOfProgram(compiled).statusCalls.length > 0
}

/** What a compiled expression reads and calls. */
export function readsOfProgram({ tree }: Pick<ExpressionProgram, "tree">): ReadsOf {
  return readsOfTree(tree)
}

const readsOfTree = onceFor(collect)

function collect(tree: ASTNode): ReadsOf {
  const reads: ExpressionRead[] = []
  const statusCalls: { name: (typeof statusFunctions)[number]; start: number }[] = []
  const comparisons: ReadComparison[] = []
  visit(tree, new Set())
  return { reads, statusCalls, comparisons }

  function visit(node: ASTNode, variables: ReadonlySet<string>, isAsked = false): void {
    const read = readAt(node, variables)
    if (read !== undefined) {
      reads.push({ ...read, isAsked })
      for (const index of indexesOf(node)) visit(index, variables)
      return
    }
    if (node.op === "call") {
      const name = statusFunctions.find((each) => each === node.args[0])
      if (name !== undefined) statusCalls.push({ name, start: node.start })
    }
    comparisons.push(...comparisonsAt(node, variables))
    const macro = node.op === "rcall" ? macroOf(node) : undefined
    const inside = macro === undefined ? variables : new Set([...variables, macro.variable])
    const outside = macro === undefined ? childrenOf(node) : macro.outside
    for (const child of outside) visit(child, variables, node.op === "call" && node.args[0] === "has")
    for (const body of macro?.bodies ?? []) visit(body, inside)
  }
}

function comparisonsAt(node: ASTNode, variables: ReadonlySet<string>): ReadComparison[] {
  if (node.op !== "==" && node.op !== "!=" && node.op !== "in") return []
  const [left, right] = node.args
  const read = readAt(left, variables) ?? (node.op === "in" ? undefined : readAt(right, variables))
  if (read === undefined) return []
  const others = node.op === "in" ? (right.op === "list" ? right.args : []) : [left, right]
  return others.flatMap((other) =>
    other.op === "value" && typeof other.args === "string"
      ? [{ read, text: other.args, start: other.start }]
      : [],
  )
}

/** The read that a chain of members is; undefined for what is no chain, or begins with no root but a variable. */
function readAt(node: ASTNode, variables: ReadonlySet<string>): ExpressionRead | undefined {
  const chain = chainOf(node)
  const [first] = chain
  if (first?.op !== "id") return undefined
  const root = expressionRoots.find((each) => each === first.args)
  if (root === undefined || variables.has(root)) return undefined
  const members: (string | number)[] = []
  for (const link of chain.slice(1)) {
    const member = memberOf(link)
    if (member === undefined) break
    members.push(member)
  }
  const last = chain[members.length] as ASTNode
  return {
    expression: node.input.slice(first.start, last.end),
    root,
    members,
    isWhole: members.length === chain.length - 1,
    isAsked: false,
    start: first.start,
  }
}

/** The nodes of a chain of members, its beginning first. */
function chainOf(node: ASTNode): readonly ASTNode[] {
  const chain = [node]
  for (let at = node; isLink(at); at = at.args[0]) chain.unshift(at.args[0])
  return chain
}

function isLink(node: ASTNode): node is ASTNode & { readonly op: "." | ".?" | "[]" | "[?]" } {
  return node.op === "." || node.op === ".?" || node.op === "[]" || node.op === "[?]"
}

function memberOf(node: ASTNode): string | number | undefined {
  if (node.op === "." || node.op === ".?") return node.args[1]
  if (node.op !== "[]" && node.op !== "[?]") return undefined
  const [, index] = node.args
  if (index.op !== "value") return undefined
  if (typeof index.args === "string") return index.args
  return typeof index.args === "bigint" ? Number(index.args) : undefined
}

/** The expressions between the brackets of a chain that are no plain values. */
function indexesOf(node: ASTNode): readonly ASTNode[] {
  return chainOf(node).flatMap((link) =>
    (link.op === "[]" || link.op === "[?]") && link.args[1].op !== "value" ? [link.args[1]] : [],
  )
}
