import { Environment } from "@marcbachmann/cel-js"

/** The names an expression may begin with. */
export const expressionRoots = ["resource", "metadata", "results", "steps", "run", "event", "env"] as const
export type ExpressionRoot = (typeof expressionRoots)[number]

/** The functions that ask how the run goes; they have a value where the scope says it. */
export const statusFunctions = ["success", "failure", "always"] as const

/** What one expression may be made of: far more than anyone writes, and quick to read. */
const limits = { maxAstNodes: 2_000, maxDepth: 100 } as const
const options = { unlistedVariablesAreDyn: false, homogeneousAggregateLiterals: false } as const

/** The names and operators that checking and running share. Numbers of JSON are CEL doubles, and mix with CEL ints. */
export function makeEnvironment(lifted: Partial<Record<keyof typeof limits, number>> = {}): Environment {
  const made = new Environment({ ...options, limits: { ...limits, ...lifted } })
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

/** What expressions are checked against, as people write them. Nothing runs in it. */
export const checkedEnvironment = makeCheckedEnvironment()

function makeCheckedEnvironment(): Environment {
  const made = makeEnvironment()
  const runs = () => {
    throw new Error("Expressions run in the metered environment")
  }
  for (const name of statusFunctions) made.registerFunction(`${name}(): bool`, runs)
  made.registerFunction("json(dyn): string", runs)
  return made
}

/** Every function that is called as `name(…)`; the other functions belong to a value: `value.name(…)`. */
export const functionNames: readonly string[] = namesOf((receiver) => receiver === undefined)
/** Every function that is called as `value.name(…)`. */
export const methodNames: readonly string[] = namesOf((receiver) => receiver !== undefined)

function namesOf(isWanted: (receiver: string | undefined) => boolean): string[] {
  const { functions } = checkedEnvironment.getDefinitions()
  const names = functions.filter(({ receiverType }) => isWanted(receiverType ?? undefined))
  return [...new Set(names.map(({ name }) => name))]
}
