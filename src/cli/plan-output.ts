import { listNames } from "../explain/name-list.ts"
import type { DryRun, Wave } from "../explain/planned-run.ts"
import { formatDuration } from "../model/duration.ts"
import { formatLabels } from "../model/labels.ts"
import type { Pipeline } from "../model/pipeline.ts"
import type { Layout } from "./explain-output.ts"
import {
  type Columns,
  columnsOf,
  durationText,
  indented,
  plannedLines,
  skippedLines,
} from "./planned-step-output.ts"
import { printable, wrap } from "./terminal.ts"

/** What a plan is shown with. */
export interface PlanContext {
  readonly pipeline: Pipeline
  /** Is anything known of the resource? */
  readonly isGiven: boolean
  readonly layout: Layout
}

/** A plan for people, line by line. */
export function planLines(planned: DryRun, context: PlanContext): readonly string[] {
  const { style } = context.layout
  const { pipeline, event, resource, waves, skipped } = planned
  const of = resource.name === undefined ? resource.type : `${resource.type}/${resource.name}`
  const columns = columnsOf(planned)
  const part = (wanted: "way" | "cleanup") =>
    waves.flatMap((wave, index) => (wave.part === wanted ? waveLines(wave, index + 1, context, columns) : []))
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
          ...skipped.flatMap((step) => skippedLines(step, { layout: context.layout, columns })),
        ]),
    "",
    ...verdictLines(planned, context),
  ]
}

/** What goes side by side. */
function waveLines(
  { steps, endedBy }: Wave,
  number: number,
  { pipeline, layout }: PlanContext,
  columns: Columns,
): readonly string[] {
  const lines = steps.flatMap((step, index) =>
    plannedLines(step, { pipeline, layout, columns, number: index === 0 ? String(number) : "" }),
  )
  if (endedBy === undefined) return lines
  return [
    ...lines,
    indented(`when ${listNames(endedBy)} fails, what still runs beside it is cancelled`, layout),
  ]
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

function verdictLines({ verdict, waves }: DryRun, { layout }: PlanContext): readonly string[] {
  const { style, width } = layout
  if (verdict.status === "succeeded") {
    const steps = waves.flatMap((wave) => wave.steps)
    const open = steps.some(({ condition }) => condition?.outcome === "open")
    const failed = steps.filter(({ outcome }) => outcome === "fails").map(({ id }) => id)
    const said = failed.length === 0 ? "if no step fails" : `although ${listNames(failed)} failed`
    const text = `${style.green("✓")} it would succeed, ${said}`
    return [open ? `${text}; ${style.dim("what is not decided yet is taken to be true")}` : text]
  }
  return wrap(`it would fail: ${printable(verdict.message)}`, width - 2).map(
    (line, index) => `${index === 0 ? style.red("✗") : " "} ${line}`,
  )
}
