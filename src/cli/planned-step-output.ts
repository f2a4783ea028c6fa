import { listNames } from "../explain/name-list.ts"
import type { DryRun, Otherwise, PlannedStep, SkippedStep } from "../explain/planned-run.ts"
import { formatDuration } from "../model/duration.ts"
import { hasExpressions } from "../model/expression.ts"
import { isJsonObject, type Json } from "../model/json.ts"
import type { Pipeline } from "../model/pipeline.ts"
import { shortened } from "../model/shortened.ts"
import { conditionLines } from "./condition-output.ts"
import type { Layout } from "./explain-output.ts"
import { printable } from "./terminal.ts"

const indent = "      "

/** How wide the columns of ids and drivers are. */
export interface Columns {
  readonly id: number
  readonly driver: number
}

/** Wide enough for all steps of a plan. */
export function columnsOf({ waves, skipped }: DryRun): Columns {
  const all = [...waves.flatMap(({ steps }) => steps), ...skipped]
  const widest = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => Bun.stringWidth(text)))
  return { id: widest(all.map(({ id }) => id)), driver: widest(all.map(({ driver }) => driver)) }
}

/** A step that would run: its line, its condition, and what it is given. */
export function plannedLines(
  step: PlannedStep,
  {
    pipeline,
    layout,
    columns,
    number,
  }: {
    readonly pipeline: Pipeline
    readonly layout: Layout
    readonly columns: Columns
    /** Of its wave; empty for another one of the same wave. */
    readonly number: string
  },
): readonly string[] {
  const { style, width } = layout
  const { id, driver, after, role, attempts, timeout, failure, outcome, condition, otherwise } = step
  const source = pipeline.steps.find((each) => each.id === id)
  const notes = [
    ...(role === "ensure" && source?.role?.type === "ensure" ? [`ensures "${source.role.of}"`] : []),
    ...(role === undefined && after.length > 0 ? [`after ${after.join(", ")}`] : []),
    ...(attempts === undefined || attempts === 1 ? [] : [`up to ${attempts} attempts`]),
    ...(timeout === undefined ? [] : [`at most ${durationText(timeout)} each`]),
  ]
  const failed =
    outcome === "fails" ? [style.red(failure === undefined ? "taken to fail" : "would fail")] : []
  const tail = [...failed, ...(notes.length === 0 ? [] : [style.dim(printable(notes.join(" · ")))])].join(
    "  ",
  )
  const line = `${number.padStart(2)}  ${style.bold(padded(id, columns.id))}  ${style.dim(padded(driver, columns.driver))}  ${tail}`
  return [
    line.trimEnd(),
    ...(failure === undefined || condition?.outcome === "error"
      ? []
      : [indented(style.red(printable(failure)), layout)]),
    ...(condition === undefined
      ? []
      : conditionLines(condition, { style, width: width - indent.length }).map((each) => indent + each)),
    ...(otherwise === undefined ? [] : [indented(otherwiseText(otherwise), layout)]),
    ...givenLines("with", step.with, source?.with).map((text) => indented(text, layout)),
    ...givenLines("env", step.env, source?.env).map((text) => indented(text, layout)),
  ]
}

function otherwiseText({ skipped, runs }: Otherwise): string {
  const parts = [
    "taken to be true; if it is false, the step is skipped",
    ...(skipped.length === 0 ? [] : [`and so ${skipped.length === 1 ? "is" : "are"} ${listNames(skipped)}`]),
    ...(runs.length === 0 ? [] : [`and ${listNames(runs)} ${runs.length === 1 ? "runs" : "run"} instead`]),
  ]
  return parts.join(", ")
}

/** A step that would be skipped, and why. */
export function skippedLines(
  { id, driver, message, because, condition }: SkippedStep,
  { layout, columns }: { readonly layout: Layout; readonly columns: Columns },
): readonly string[] {
  const { style, width } = layout
  const why = because.type === "condition" ? "" : printable(message)
  const line = ` ·  ${padded(id, columns.id)}  ${style.dim(padded(driver, columns.driver))}  ${why}`
  const shown = because.type === "condition" ? condition : undefined
  return [
    line.trimEnd(),
    ...(shown === undefined
      ? []
      : conditionLines(shown, { style, width: width - indent.length }).map((each) => indent + each)),
  ]
}

/** The longest value of an input that is shown. */
const valueLengthMax = 100

/** Of what a driver is given, what holds expressions: as they are known now. */
function givenLines(name: string, given: Json | undefined, source: Json | undefined): readonly string[] {
  if (!isJsonObject(given) || !isJsonObject(source)) return []
  return Object.entries(given).flatMap(([key, value]) => {
    const written = source[key]
    if (written === undefined || !hasExpressions(written)) return []
    return [`${name}.${printable(key)}: ${printable(shortened(JSON.stringify(value), valueLengthMax))}`]
  })
}

/** A line under a step. */
export function indented(text: string, { style }: Layout): string {
  return `${indent}${style.dim(text)}`
}

function padded(text: string, width: number): string {
  return `${printable(text)}${" ".repeat(Math.max(0, width - Bun.stringWidth(text)))}`
}

/** A duration, or the text that gives one later. */
export function durationText(value: Json): string {
  return typeof value === "number" ? formatDuration(value) : String(value)
}
