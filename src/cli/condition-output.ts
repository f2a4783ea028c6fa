import type { ConditionOutlook, KnownValue } from "../explain/condition-outlook.ts"
import { printable, type Style, wrap } from "./terminal.ts"

/** Lines for an `if`: what it says, what it read, and what came of it. `width`: how wide they may be. */
export function conditionLines(
  { expression, implied, values, outcome, falseParts = [], message }: ConditionOutlook,
  { style, width }: { readonly style: Style; readonly width: number },
): readonly string[] {
  const source = implied === true ? `success() && (${expression})` : expression
  const [first = "", ...more] = wrap(`if ${printable(source)}`, width)
  const parts = falseParts.filter((part) => part !== expression)
  const verdict = {
    true: style.green("true"),
    false: `${style.yellow("false")}${parts.length === 0 ? "" : `: ${printable(parts.join(" and "))}`}`,
    open: style.dim("not decided yet"),
    error: `${style.red("no value")}${message === undefined ? "" : `: ${printable(message)}`}`,
  }[outcome]
  const names = Math.max(0, ...values.map((read) => read.expression.length))
  const isNarrow = names > width / 2
  return [
    `${style.dim("if")}${first.slice(2)}`,
    ...more.map((line) => `   ${line}`),
    ...values.map((read) => {
      const name = printable(read.expression)
      return `   ${isNarrow ? name : name.padEnd(names)}  ${valueText(read, style)}`
    }),
    `   ${style.dim("→")} ${verdict}`,
  ]
}

function valueText({ until, value }: KnownValue, style: Style): string {
  if (until !== undefined) return style.dim(`not known until ${printable(until)}`)
  return value === undefined ? style.dim("not there") : printable(JSON.stringify(value))
}
