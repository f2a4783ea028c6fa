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
  /** What is evaluated before there is a variable: the list, the value it is bound to. */
  readonly outside: readonly ASTNode[]
  /** What sees the variable. */
  readonly bodies: readonly ASTNode[]
  /** Are the bodies evaluated for each item? */
  readonly repeats: boolean
}

const loops: readonly string[] = ["all", "exists", "exists_one", "map", "filter"]

/** What a call of a macro is made of; undefined for a plain method. */
export function macroOf(node: ASTNode & { readonly op: "rcall" }): ExpressionMacro | undefined {
  const [name, receiver, [variable, ...rest]] = node.args
  const repeats = loops.includes(name)
  const binds = name === "bind" && receiver.op === "id" && receiver.args === "cel"
  if (!(repeats || binds) || variable?.op !== "id") return undefined
  const parts = repeats
    ? { outside: [receiver], bodies: rest }
    : { outside: rest.slice(0, 1), bodies: rest.slice(1) }
  return { variable: variable.args, ...parts, repeats }
}
