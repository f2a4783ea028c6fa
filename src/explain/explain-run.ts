import { present } from "../model/present.ts"
import { type Held, isEnded } from "../model/run.ts"
import type { Explaining } from "./explain-sources.ts"
import { describeConcurrency } from "./explain-words.ts"
import type { RunExplanation, StepExplanation } from "./explanation.ts"
import { listNames } from "./name-list.ts"
import { isoAfter } from "./step-place.ts"

/** Why the run as a whole is where it is, once its steps are explained. */
export function explainRunItself(
  explaining: Explaining,
  steps: readonly StepExplanation[],
): Pick<RunExplanation, "message" | "ends" | "timeoutAt"> {
  const { run } = explaining.sources
  if (isEnded(run.status)) {
    const why = "message" in run && run.message !== "" ? `: ${run.message}` : ""
    return { message: `it has ended as ${run.status}${why}` }
  }
  const timeoutAt = timeoutAtOf(explaining)
  return present({
    message: messageOf(explaining, steps),
    ends: endsOf(explaining, steps, timeoutAt),
    timeoutAt,
  })
}

function messageOf({ sources }: Explaining, steps: readonly StepExplanation[]): string {
  const { run, hosts } = sources
  const held = heldOf(run)
  if (held !== undefined) {
    const { verdict, since } = held
    return `it is held since ${since}, for ${verdict.message}; save the mended pipeline or driver and it goes on there, or cancel it`
  }
  const queued = steps.find(({ reason }) => reason.type === "concurrency")
  if (queued?.reason.type === "concurrency") return `it ${describeConcurrency(queued.reason)}`
  const decided = decidedText(run)
  const running = steps.filter(({ reason }) => reason.type === "running")
  const now = running.length > 0 ? runningText(running, steps) : waitText(steps, hosts.length)
  return decided === undefined ? now : `${decided}; ${now}`
}

/** One that is being cancelled is not waited for any more. */
function heldOf(run: Explaining["sources"]["run"]): Held | undefined {
  return run.status === "running" && run.cancelRequestedAt === undefined ? run.held : undefined
}

function runningText(running: readonly StepExplanation[], steps: readonly StepExplanation[]): string {
  const ending = running.filter(({ reason }) => reason.type === "running" && reason.calledOff)
  if (ending.length === running.length)
    return `${names(ending)} ${ending.length === 1 ? "has" : "have"} to end`
  const rest = ending.length === 0 ? "" : `, ${names(ending)} ${ending.length === 1 ? "has" : "have"} to end`
  const waiting = steps.filter(({ reason }) => reason.type !== "running" && !isBehindOthers(reason))
  const waits = waiting.length === 0 ? "" : `; ${names(waiting)} ${waiting.length === 1 ? "waits" : "wait"}`
  return `it is running ${names(running.filter((step) => !ending.includes(step)))}${rest}${waits}`
}

/** Nothing runs: what the steps next in turn wait for, each thing once. */
function waitText(steps: readonly StepExplanation[], hosts: number): string {
  if (hosts === 0) return "no host is alive"
  if (steps.length === 0) return "no host has looked for drivers that do it yet"
  const next = steps.filter(({ reason }) => !isBehindOthers(reason))
  if (next.length === 0) return "all that it has to do is done, and a host is about to write down how it ends"
  const said = Map.groupBy(next, ({ message }) => message)
  return [...said].map(([message, of]) => `${names(of)}: ${message}`).join("; ")
}

function isBehindOthers({ type }: StepExplanation["reason"]): boolean {
  return type === "ended" || type === "skipped" || type === "blocked" || type === "lastOfAll"
}

function decidedText(run: Explaining["sources"]["run"]): string | undefined {
  if (run.status === "running" && run.stopping !== undefined) {
    const { status, message } = run.stopping
    return `it is going to end as ${status}${message === "" ? "" : ` (${message})`}`
  }
  return run.cancelRequestedAt === undefined
    ? undefined
    : `it is being cancelled since ${run.cancelRequestedAt}`
}

/** What has to come before it has ended. */
function endsOf(
  { sources: { run } }: Explaining,
  steps: readonly StepExplanation[],
  timeoutAt: string | undefined,
): string {
  const left = steps.filter(({ reason }) => reason.type !== "ended" && reason.type !== "skipped")
  const way = left.filter(({ role }) => role === undefined)
  const cleanup = left.filter(({ role }) => role !== undefined)
  const held = heldOf(run) === undefined ? [] : ["its hold is over or it is mended"]
  const conditions = [
    ...held,
    ...(way.length === 0
      ? []
      : [`${names(way)} ${way.length === 1 ? "has ended or is" : "have ended or are"} skipped`]),
    ...(cleanup.length === 0 ? [] : [`its cleanup, ${names(cleanup)}, is over`]),
  ]
  return conditions.length === 0
    ? "it ends as soon as a host has written that down"
    : `it ends when ${conditions.join(", and ")}${timeoutAt === undefined ? "" : `; its time is over at ${timeoutAt}`}`
}

/** When the time of a run is over that is still on its way. */
function timeoutAtOf({ sources: { run, pipeline } }: Explaining): string | undefined {
  const timeoutMs = run.values?.timeoutMs ?? pipeline?.timeoutMs
  if (run.status !== "running" || run.held !== undefined || timeoutMs === undefined) return undefined
  const isDecided = run.stopping !== undefined || run.cancelRequestedAt !== undefined
  return isDecided ? undefined : isoAfter(run.mendedAt ?? run.startedAt, timeoutMs)
}

function names(steps: readonly StepExplanation[]): string {
  return listNames(steps.map(({ id }) => id))
}
