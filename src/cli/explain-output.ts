import type { RunExplanation, StepExplanation } from "../explain/explanation.ts"
import { conditionLines } from "./condition-output.ts"
import { withMoments } from "./moments.ts"
import { mark } from "./run-output.ts"
import { printable, type Style, wrap } from "./terminal.ts"

/** How a text for people is laid out. `width`: how many cells a line may have. */
export interface Layout {
  readonly style: Style
  readonly width: number
}

/** An explanation for people, line by line, as it is read at `nowMs`. */
export function explanationLines(
  { runId, status, message, ends, steps }: RunExplanation,
  layout: Layout & { readonly nowMs: number },
): readonly string[] {
  const { style, width } = layout
  const about = [message, ...(ends === undefined ? [] : [ends])]
  const names = Math.max(0, ...steps.map(({ id }) => Bun.stringWidth(id)))
  return [
    `${style.bold("run")} ${runId}  ${statusMark(status, style)} ${style.bold(status)}`,
    ...about.flatMap((text) =>
      wrap(withMoments(printable(text), layout.nowMs), width - 2).map((line) => `  ${line}`),
    ),
    "",
    ...steps.flatMap((step) => stepLines(step, { ...layout, names })),
  ]
}

/** A step's sentence stands beside its name, or under it where the terminal is narrow. */
function stepLines(
  { id, status, message, condition }: StepExplanation,
  { style, width, names, nowMs }: Layout & { readonly names: number; readonly nowMs: number },
): readonly string[] {
  const isNarrow = names > width / 3
  const indent = isNarrow ? 4 : names + 4
  const sentence = wrap(withMoments(printable(message), nowMs), width - indent)
  const beside = isNarrow ? "" : `${" ".repeat(names - Bun.stringWidth(id) + 2)}${sentence[0]}`
  const below = [
    ...(isNarrow ? sentence : sentence.slice(1)),
    ...(condition === undefined || status === "succeeded"
      ? []
      : conditionLines(condition, { style, width: width - indent })),
  ]
  return [
    `${statusMark(status, style)} ${style.bold(id)}${beside}`,
    ...below.map((line) => `${" ".repeat(indent)}${line}`),
  ]
}

function statusMark(status: string, style: Style): string {
  if (status === "running") return style.yellow("▶")
  return status === "waiting" ? style.yellow("…") : mark(status, style)
}
