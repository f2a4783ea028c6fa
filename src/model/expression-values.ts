import type { ExpressionScope } from "./expression.ts"
import { compileCondition } from "./expression-program.ts"
import { type ExpressionRead, readsOfProgram } from "./expression-reads.ts"
import { isJsonObject, type Json } from "./json.ts"
import { shortened } from "./shortened.ts"

/** Something a condition read, and what it was; without a `value` there was none. */
export interface ReadValue {
  /** As it is written: `steps.test.status`. */
  readonly expression: string
  readonly value?: Json
}

/** How much of a value is shown. */
const textMax = 200
const itemsMax = 10
const depthMax = 3

/**
 * What each thing that a condition reads is in `scope`, each once, in the order they are written: members and status
 * functions. Large values are cut. Never throws; nothing for a condition that is not CEL.
 */
export function valuesOf(source: string, scope: ExpressionScope): readonly ReadValue[] {
  const compiled = compileCondition(source)
  if (compiled.type === "invalid") return []
  const { reads, statusCalls } = readsOfProgram(compiled)
  const found = [
    ...statusCalls.map(({ name, start }) => ({
      start,
      expression: `${name}()`,
      value: statusOf(name, scope),
    })),
    ...reads.map((read) => ({ start: read.start, expression: read.expression, value: valueIn(read, scope) })),
  ].sort((a, b) => a.start - b.start)
  const distinct = new Map(found.map(({ expression, value }) => [expression, value]))
  return [...distinct].map(([expression, value]) =>
    value === undefined ? { expression } : { expression, value },
  )
}

function statusOf(name: "success" | "failure" | "always", { status }: ExpressionScope): boolean | undefined {
  return name === "always" ? true : status?.[name]
}

function valueIn({ root, members }: ExpressionRead, scope: ExpressionScope): Json | undefined {
  // What a host lets expressions read may still be no business of whoever reads a run.
  if (root === "env") {
    const [name] = members
    return name === undefined || scope.env?.[String(name)] !== undefined ? "(set)" : undefined
  }
  let value: unknown = scope[root]
  for (const member of members) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, member)) return undefined
    value = (value as Record<string | number, unknown>)[member]
  }
  return value === undefined ? undefined : cut(value as Json, depthMax)
}

function cut(value: Json, depth: number): Json {
  if (typeof value === "string") return shortened(value, textMax)
  if (Array.isArray(value)) {
    if (depth === 0) return "…"
    const items = value.slice(0, itemsMax).map((item: Json) => cut(item, depth - 1))
    return value.length > itemsMax ? [...items, "…"] : items
  }
  if (!isJsonObject(value)) return value
  if (depth === 0) return "…"
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  const shown = fields.slice(0, itemsMax).map(([name, field]) => [name, cut(field, depth - 1)] as const)
  return Object.fromEntries(fields.length > itemsMax ? [...shown, ["…", "…"]] : shown)
}
