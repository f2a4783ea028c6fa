import { formatDuration } from "../model/duration.ts"
import { isJsonObject, type JsonObject } from "../model/json.ts"
import type { RunView, StepView } from "../model/run-view.ts"
import type { StreamedLine } from "./client.ts"
import { printable, type Style } from "./terminal.ts"

/** What following a run writes. Calls come in the order of what happened; each writes whole lines. */
export interface RunOutput {
  /** The run has been accepted. */
  started(run: { readonly runId: string; readonly resource: string; readonly url: string }): void
  /** The run as a whole has come somewhere. */
  run(run: Omit<RunView, "steps">): void
  step(step: StepView): void
  log(line: StreamedLine): void
  /** The run has ended; comes last and once. */
  ended(run: RunView, places: RunPlaces): void
}

/** Where a local run left things; empty for a run on another host. */
export interface RunPlaces {
  readonly workspace?: string
  readonly log?: string
}

type Write = (text: string) => void

/** One JSON object to a line, each with its `type`; the last line is the run as `GET /runs/:id` answers it. */
export function jsonOutput(write: Write): RunOutput {
  const line = (value: object) => write(`${JSON.stringify(value)}\n`)
  return {
    started: (run) => line({ type: "started", ...run }),
    run: ({ runId, status, message }) => line({ type: "run", runId, status, message }),
    step: (step) => line({ type: "step", ...step }),
    log: (entry) => line({ type: "log", ...entry }),
    ended: (run) => line(run),
  }
}

/** Lines for people. A step is announced once for each attempt and once for its end, however often it is told. */
export function textOutput(write: Write, style: Style): RunOutput {
  const told = new Map<string, string>()
  let waits: string | undefined
  const line = (text: string) => write(`${text}\n`)
  return {
    started: ({ runId, resource, url }) =>
      line(`${style.bold("run")} ${runId}  ${resource}  ${style.dim(url)}`),
    run(run) {
      // Of all that a run can wait for, these two are of no step.
      const since = run.heldSince ?? run.concurrency?.queuedAt
      if (since !== undefined && since !== waits) line(`${style.yellow("…")} ${printable(run.message)}`)
      waits = since
    },
    step(step) {
      const news = `${step.status} ${step.attempt} ${step.status === "waiting" ? step.message : ""}`
      if (told.get(step.id) === news) return
      told.set(step.id, news)
      const text = stepLine(step, style)
      if (text !== undefined) line(text)
    },
    log(entry) {
      if (entry.stream === "notice") return line(style.yellow(`! ${printable(entry.message)}`))
      const prefix = entry.step === undefined ? "" : `${entry.step} | `
      line(`  ${style.dim(prefix)}${printable(entry.message)}`)
    },
    ended: (run, places) => write(`\n${summary(run, places, style).join("\n")}\n`),
  }
}

function stepLine(step: StepView, style: Style): string | undefined {
  const name = style.bold(step.id)
  const attempt = step.attempt > 1 ? ` (attempt ${step.attempt})` : ""
  switch (step.status) {
    case "running":
      return `${style.yellow("▶")} ${name}${attempt} ${style.dim(step.driver)}`
    case "waiting":
      return `${style.yellow("…")} ${name} ${printable(step.message)}`
    case "succeeded":
    case "failed":
    case "cancelled":
      return `${mark(step.status, style)} ${name}${attempt}${afterTime(step.durationMs)}${reason(step)}`
    case "pending":
    case "skipped":
      return undefined // Nothing has happened; the summary names the skipped.
    default:
      return step.status satisfies never
  }
}

function summary(run: RunView, places: RunPlaces, style: Style): string[] {
  const width = Math.max(0, ...run.steps.map((step) => step.id.length))
  const failed = run.status !== "succeeded"
  return [
    `${mark(run.status, style)} ${style.bold(run.status)}${afterTime(run.durationMs)}${
      failed && run.message !== "" ? `: ${printable(run.message)}` : ""
    }`,
    ...run.steps.map(
      (step) =>
        `  ${mark(step.status, style)} ${step.id.padEnd(width)} ${
          afterTime(step.durationMs) || ` ${style.dim(step.status)}`
        }${reason(step)}`,
    ),
    ...run.steps
      .flatMap(artifactsOf)
      .map(({ path, sha256 }) => `artifact   ${printable(path)}\n  SHA-256  ${printable(sha256)}`),
    `run        ${run.runId}`,
    ...(places.workspace === undefined ? [] : [`workspace  ${places.workspace}`]),
    ...(places.log === undefined ? [] : [`log        ${places.log}`]),
  ]
}

/** What a step made: any object in its result's data, at the top or one below, that has a path and a SHA-256. */
function artifactsOf(step: StepView): { path: string; sha256: string }[] {
  const data = step.result?.data
  if (!isJsonObject(data)) return []
  const candidates: JsonObject[] = [data, ...Object.values(data).filter(isJsonObject)]
  return candidates.flatMap(({ path, sha256 }) =>
    typeof path === "string" && typeof sha256 === "string" ? [{ path, sha256 }] : [],
  )
}

/** One sign for a status. */
export function mark(status: string, style: Style): string {
  switch (status) {
    case "succeeded":
      return style.green("✓")
    case "failed":
      return style.red("✗")
    case "cancelled":
      return style.yellow("✗")
    default:
      return style.dim("·")
  }
}

function reason(step: StepView): string {
  const hasReason = step.status === "failed" || step.status === "cancelled" || step.status === "skipped"
  return hasReason && step.message !== "" ? `: ${printable(step.message)}` : ""
}

/** How long it took, behind a space; nothing for what never began. */
const afterTime = (durationMs: number | undefined) =>
  durationMs === undefined ? "" : ` ${formatDuration(durationMs)}`
