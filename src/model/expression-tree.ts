import type { ASTNode } from "@marcbachmann/cel-js"

/** The nodes right under one, in the order they are written. */
export function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case "value":
    case "id":
      return []
    case ".":
    case ".?":
      return [node.args[0]]
    case "call":
      return node.args[1]
    case "rcall":
      return [node.args[1], ...node.args[2]]
    case "map":
      return node.args.flat()
    case "!_":
    case "-_":
      return [node.args]
    default:
      return node.args
  }
}

/** A call that names a variable of its own: `list.map(item, …)`, `cel.bind(name, value, …)`. */
export interface ExpressionMacro {
  readonly variable: string
  /** What stands after the variable. */
  readonly bodies: readonly ASTNode[]
  /** Are the bodies evaluated for each item? */
  readonly repeats: boolean
}

const loops: readonly string[] = ["all", "exists", "exists_one", "map", "filter"]

/** What a call of a macro is made of; undefined for a plain method. */
export function macroOf(node: ASTNode & { readonly op: "rcall" }): ExpressionMacro | undefined {
  const [name, receiver, [variable, ...bodies]] = node.args
  const repeats = loops.includes(name)
  const binds = name === "bind" && receiver.op === "id" && receiver.args === "cel"
  if (!(repeats || binds) || variable?.op !== "id") return undefined
  return { variable: variable.args, bodies, repeats }
}
