import type { DryRun, Otherwise, PlannedStep, SkippedStep } from "../model/dry-run.ts"
import { formatDuration } from "../model/duration.ts"
import { hasExpressions } from "../model/expression.ts"
import { isJsonObject, type Json } from "../model/json.ts"
import { formatLabels } from "../model/labels.ts"
import { listNames } from "../model/name-list.ts"
import type { Pipeline } from "../model/pipeline.ts"
import { conditionLines } from "./condition-output.ts"
import type { Layout } from "./explain-output.ts"
import { printable, wrap } from "./terminal.ts"

/** What a plan is shown with. */
export interface PlanContext {
  readonly pipeline: Pipeline
  /** Is anything known of the resource? */
  readonly isGiven: boolean
  /** The steps that were said to fail. */
  readonly fails: readonly string[]
  readonly layout: Layout
}

/** A plan for people, line by line. */
export function planLines(planned: DryRun, context: PlanContext): readonly string[] {
  const { style } = context.layout
  const { pipeline, event, resource, waves, skipped } = planned
  const of = resource.name === undefined ? resource.type : `${resource.type}/${resource.name}`
  const columns = columnsOf(planned)
  let number = 0
  const part = (wanted: "way" | "cleanup") =>
    waves
      .filter((wave) => wave.part === wanted)
      .flatMap(({ steps, endedBy }) => {
        number++
        const first = steps.flatMap((step, index) =>
          plannedLines(step, { ...context, columns, number: index === 0 ? String(number) : "" }),
        )
        return endedBy === undefined
          ? first
          : [
              ...first,
              indented(
                `when ${listNames(endedBy)} fails, what still runs beside it is cancelled`,
                context.layout,
              ),
            ]
      })
      .flat()
  const way = part("way")
  const cleanup = part("cleanup")
  return [
    `${style.bold("plan")} ${printable(pipeline)}  ${style.dim(`on ${event} of ${printable(of)}; nothing is run`)}`,
    ...aboutLines(planned, context),
    ...(way.length === 0 ? [] : ["", ...way]),
    ...(cleanup.length === 0 ? [] : ["", style.dim("at the end, however it went"), ...cleanup]),
    ...(skipped.length === 0
      ? []
      : [
          "",
          style.dim("skipped"),
          ...skipped.flatMap((step) => skippedLines(step, { ...context, columns })),
        ]),
    "",
    ...verdictLines(planned, context),
  ]
}

/** How wide the columns of ids and drivers are. */
interface Columns {
  readonly id: number
  readonly driver: number
}

function columnsOf({ waves, skipped }: DryRun): Columns {
  const all = [...waves.flatMap(({ steps }) => steps), ...skipped]
  const widest = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => Bun.stringWidth(text)))
  return { id: widest(all.map(({ id }) => id)), driver: widest(all.map(({ driver }) => driver)) }
}

/** What bounds the run as a whole. */
function aboutLines(planned: DryRun, { isGiven, layout }: PlanContext): readonly string[] {
  const { style, width } = layout
  const { maxParallel, timeout, holdMs, host, concurrency, failFast, waves } = planned
  const isWide = waves.some(({ steps }) => steps.length > 1)
  const facts = [
    ...(host === undefined ? [] : [`only on hosts with ${formatLabels(host)}`]),
    ...(maxParallel === undefined ? [] : [`at most ${maxParallel} at a time`]),
    ...(isWide && !failFast ? ["a failure does not cancel other branches"] : []),
    ...(timeout === undefined ? [] : [`its time is over after ${durationText(timeout)}`]),
    ...(holdMs === undefined ? [] : [`held for ${formatDuration(holdMs)} when it fails`]),
    ...(concurrency === undefined ? [] : [concurrencyText(concurrency)]),
    ...(isGiven ? [] : ["nothing is known of the resource: give one with --resource or --set"]),
  ]
  return facts.flatMap((fact) => wrap(printable(fact), width - 2).map((line) => `  ${style.dim(line)}`))
}

function concurrencyText({ key, limit, policy }: NonNullable<DryRun["concurrency"]>): string {
  const runs = limit === 1 ? "one run" : `${limit} runs`
  const rest = {
    queue: "another one waits",
    replace: "another one cancels the oldest",
    reject: "another one is cancelled",
  }[policy]
  return `${runs} at a time with the key "${typeof key === "string" ? key : JSON.stringify(key)}"; ${rest}`
}

function plannedLines(
  step: PlannedStep,
  { pipeline, layout, columns, number }: PlanContext & { readonly columns: Columns; readonly number: string },
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

function skippedLines(
  { id, driver, message, because, condition }: SkippedStep,
  { layout, columns }: PlanContext & { readonly columns: Columns },
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
    const text = JSON.stringify(value)
    const shown = text.length > valueLengthMax ? `${text.slice(0, valueLengthMax)}…` : text
    return [`${name}.${printable(key)}: ${printable(shown)}`]
  })
}

function verdictLines({ verdict, waves }: DryRun, { fails, layout }: PlanContext): readonly string[] {
  const { style, width } = layout
  if (verdict.status === "succeeded") {
    const open = waves.some(({ steps }) => steps.some(({ condition }) => condition?.outcome === "open"))
    const said = fails.length === 0 ? "if no step fails" : `although ${listNames(fails)} failed`
    const text = `${style.green("✓")} it would succeed, ${said}`
    return [open ? `${text}; ${style.dim("what is not decided yet is taken to be true")}` : text]
  }
  return wrap(`it would fail: ${printable(verdict.message)}`, width - 2).map(
    (line, index) => `${index === 0 ? style.red("✗") : " "} ${line}`,
  )
}

const indent = "      "

function indented(text: string, { style }: Layout): string {
  return `${indent}${style.dim(text)}`
}

function padded(text: string, width: number): string {
  return `${printable(text)}${" ".repeat(Math.max(0, width - Bun.stringWidth(text)))}`
}

function durationText(value: Json): string {
  return typeof value === "number" ? formatDuration(value) : String(value)
}
