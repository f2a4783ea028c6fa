import type { ASTNode } from "@marcbachmann/cel-js"
import { boundedRegExp } from "./bounded-regexp.ts"
import { ExpressionBudget, ExpressionTooCostly } from "./expression-budget.ts"
import { makeEnvironment } from "./expression-environment.ts"
import { childrenOf, macroOf } from "./expression-tree.ts"
import { toJson } from "./expression-value.ts"

/*
 * The library bounds how large an expression is, not how long it runs: three loops over a thousand items, one in the
 * other, would hold up the host for minutes. So an expression is written anew with a price at every place where time
 * or memory can grow, and runs with a budget. Names that begin with "__" stand only in what is written here; an
 * expression that uses one does not pass the check before.
 */

/** Whether what came before has succeeded, and whether some of it failed; see `success()` and `failure()`. */
export interface ExpressionStatus {
  readonly success: boolean
  readonly failure: boolean
}

export type MeteredProgram = (
  scope: Readonly<Record<string, unknown>>,
  options: { readonly budget: ExpressionBudget; readonly status?: ExpressionStatus },
) => unknown

/** An expression, parsed and checked, made ready to run. It keeps nothing from one run to the next. */
export function meter(tree: ASTNode): MeteredProgram {
  const program = meteredEnvironment.parse(write(tree))
  return (scope, { budget, status }) => {
    const value = program({ ...scope, __budget: budget, __status: { ...status } })
    // An error is swallowed by `||`, `&&`, `exists` and `all` when the other side decides.
    if (budget.isExhausted) throw new ExpressionTooCostly()
    return value
  }
}

const meteredEnvironment = makeMeteredEnvironment()

function makeMeteredEnvironment() {
  const made = makeEnvironment({ maxAstNodes: 100_000, maxDepth: 2_000 })
  made.registerType("Budget", ExpressionBudget)
  made.registerVariable("__budget", "Budget")
  made.registerVariable("__status", "dyn")
  const functions = {
    "__on(Budget, dyn): dyn": (budget: ExpressionBudget, value: unknown) => {
      budget.spendOn(value)
      return value
    },
    "__onAll(Budget, dyn): dyn": (budget: ExpressionBudget, value: unknown) => {
      budget.spendOnAll(value)
      return value
    },
    "__turn(Budget, int): bool": (budget: ExpressionBudget, cost: bigint) => {
      budget.spend(Number(cost))
      return true
    },
    "__json(Budget, dyn): string": (budget: ExpressionBudget, value: unknown) =>
      JSON.stringify(toJson(value, budget)),
    "__join(Budget, dyn, string): string": join,
    "__matches(Budget, string, string): bool": (budget: ExpressionBudget, text: string, pattern: string) => {
      budget.spendOn(text)
      return boundedRegExp(budget.patterns)(pattern, "").test(text)
    },
  }
  for (const [signature, apply] of Object.entries(functions)) {
    made.registerFunction(signature, apply, { async: false })
  }
  return made
}

function join(budget: ExpressionBudget, list: unknown, separator: string): string {
  if (!Array.isArray(list)) throw new Error("join() needs a list")
  budget.spendOnAll(list)
  for (const item of list) {
    if (typeof item !== "string") throw new Error("join() needs a list that holds only strings")
    budget.spendOn(separator)
  }
  return list.join(separator)
}

function write(node: ASTNode): string {
  switch (node.op) {
    case "value":
      return node.input.slice(node.start, node.end)
    case "id":
      return node.args
    case ".":
    case ".?":
      return `${write(node.args[0])}${node.op}${node.args[1]}`
    case "[]":
      return `${write(node.args[0])}[${write(node.args[1])}]`
    case "[?]":
      return `${write(node.args[0])}[?${write(node.args[1])}]`
    case "call":
      return writeCall(node, node.args[0], node.args[1])
    case "rcall":
      return writeMethod(node)
    case "list":
      return `[${node.args.map(write).join(", ")}]`
    case "map":
      return `{${node.args.map(([key, value]) => `${write(key)}: ${write(value)}`).join(", ")}}`
    case "?:":
      return `(${write(node.args[0])} ? ${write(node.args[1])} : ${write(node.args[2])})`
    case "!_":
    case "-_":
      return `(${node.op[0]}${write(node.args)})`
    case "+":
      return `__on(__budget, ${node.args.map(write).join(" + ")})`
    case "==":
    case "!=":
    case "in":
      return `(${node.args.map((side) => paid("__onAll", side)).join(` ${node.op} `)})`
    case "<":
    case "<=":
    case ">":
    case ">=":
      return `(${node.args.map((side) => paid("__on", side)).join(` ${node.op} `)})`
    default:
      return `(${node.args.map(write).join(` ${node.op} `)})`
  }
}

/** Something that will be walked, with all that is in it or without. */
function paid(by: "__on" | "__onAll", node: ASTNode): string {
  return node.op === "value" ? write(node) : `${by}(__budget, ${write(node)})`
}

function writeCall(node: ASTNode, name: string, parameters: readonly ASTNode[]): string {
  switch (name) {
    case "has":
      return node.input.slice(node.start, node.end)
    case "success":
    case "failure":
      return `__status.${name}`
    case "always":
      return "true"
    case "json":
      return `__json(__budget, ${parameters.map(write).join(", ")})`
    default:
      return `${name}(${parameters.map((each) => paid("__on", each)).join(", ")})`
  }
}

function writeMethod(node: ASTNode & { readonly op: "rcall" }): string {
  const [name, receiver, parameters] = node.args
  const macro = macroOf(node)
  if (macro !== undefined) {
    const { variable, outside, bodies } = macro
    const before = outside.map(write)
    if (!macro.repeats) return `cel.bind(${[variable, ...before, ...bodies.map(write)].join(", ")})`
    return `__on(__budget, ${before[0]}).${name}(${[variable, ...bodies.map(writeTurn)].join(", ")})`
  }
  const written = parameters.map(write)
  const [parameter = '""'] = written
  if (name === "join") return `__join(__budget, ${write(receiver)}, ${parameter})`
  if (name === "matches") return `__matches(__budget, ${write(receiver)}, ${parameter})`
  return `__on(__budget, __on(__budget, ${write(receiver)}).${name}(${written.join(", ")}))`
}

/** What is evaluated for each item of a loop. */
function writeTurn(body: ASTNode): string {
  return `(__turn(__budget, ${weightOf(body)}) ? ${write(body)} : dyn(null))`
}

function weightOf(node: ASTNode): number {
  return childrenOf(node).reduce((sum, child) => sum + weightOf(child), 1)
}
