import type { ConditionOutlook } from "./condition-outlook.ts"
import { formatDuration } from "./duration.ts"
import type { Blocker, Reason } from "./explanation.ts"
import { formatLabels } from "./labels.ts"
import type { PipelineStep } from "./pipeline.ts"
import type { HostLoad, Placement } from "./placement.ts"
import { describeSkip } from "./standing.ts"

/* Reasons as people read them: each is one sentence that begins where the name of its step ends. */

/** How many things are named before the rest is only counted. */
const namedMax = 6

/** A reason in one sentence. */
export function describeReason(
  reason: Reason,
  { step, condition }: { readonly step: PipelineStep; readonly condition: ConditionOutlook | undefined },
): string {
  switch (reason.type) {
    case "ended":
      return describeEnd(reason)
    case "skipped":
      if (reason.because.type === "condition") return `its condition is false: ${falseText(condition)}`
      return describeSkip(reason.because)
    case "blocked":
      return describeBlocked(reason, step, condition)
    case "lastOfAll":
      return reason.by.length === 0
        ? "cleans up as soon as it is written down how the run ends"
        : `cleans up at the end: waits for ${listBlockers(reason.by)}`
    case "held":
      return `nothing starts while the run is held since ${reason.since}${until(reason.until)}`
    case "maxParallel":
      return `its run may have ${count(reason.maxParallel, "step")} running at a time, and has: ${listNames(reason.running)}`
    case "place":
      return `${describePlace(reason.place)}${reason.since === undefined ? "" : ` (since ${reason.since})`}`
    case "starting":
      return `nothing is in its way: ${list(reason.hosts)} can start it now`
    case "conditionDue":
      return reason.outcome === "false"
        ? `is about to be skipped: its condition is false: ${falseText(condition)}`
        : `is about to fail: ${condition?.message ?? "its condition has no value"}`
    case "timer":
      return describeTimer(reason)
    case "resolution":
      return reason.resolved
        ? `somebody has said how attempt ${reason.attempt} ended; a host is about to take note`
        : `nobody knows how attempt ${reason.attempt} ended, which was cut off on ${reason.hostId}: resolve the step (since ${reason.since})`
    case "running":
      return describeRunning(reason)
    case "orphaned":
      return describeOrphan(reason)
    case "calledOff":
      return "gets no other attempt, for the run goes on without it"
    default:
      return reason satisfies never
  }
}

/** Why no host can take a step up. */
export function describePlace(place: Exclude<Placement, { type: "free" }>): string {
  switch (place.type) {
    case "noHost":
      return "no host is alive"
    case "labels": {
      const { hostId, lacks } = place.nearest
      return `no host has ${formatLabels(place.labels)}; the nearest is ${hostId}, which lacks ${formatLabels(lacks)}`
    }
    case "driver":
      return describeNoDriver(place)
    case "content": {
      const others =
        place.others.length === 0
          ? ""
          : `; ${list(place.others)} ${place.others.length === 1 ? "has" : "have"} it with other content`
      return `the driver "${place.driver}" as the run is pinned to it (${place.hash.slice(0, 12)}) is gone from every host and from the store${others}`
    }
    case "slots":
      return `no host that can do it has a free slot: ${place.hosts.map(describeLoad).join(", ")}`
    default:
      return place satisfies never
  }
}

/** `"a", "b" and 3 more`. */
export function listNames(names: readonly string[]): string {
  return list(names.map((name) => `"${name}"`))
}

function describeEnd(reason: Reason & { readonly type: "ended" }): string {
  const { status, attempt, hostId, durationMs, result, keptFrom } = reason
  if (attempt === 0) return `${status} before it could start: ${result}`
  const where = hostId === undefined ? "" : ` on ${hostId}`
  const took = durationMs === undefined ? "" : ` after ${formatDuration(durationMs)}`
  const kept = keptFrom === undefined ? "" : ` in run ${keptFrom}, whose result is kept`
  const which = attempt > 1 ? ` at attempt ${attempt}` : ""
  const why = status !== "succeeded" && result !== "" ? `: ${result}` : ""
  return `${status}${which}${where}${took}${kept}${why}`
}

function describeBlocked(
  { by, brokenBy }: Reason & { readonly type: "blocked" },
  { role }: PipelineStep,
  condition: ConditionOutlook | undefined,
): string {
  const then = `once ${listBlockers(by)} ${by.length === 1 ? "has" : "have"} ended`
  if (brokenBy !== undefined) {
    return `will be skipped ${then}, for step "${brokenBy}" before it did not succeed`
  }
  if (condition?.outcome === "false") {
    return `will be skipped ${then}: its condition is false already: ${falseText(condition)}`
  }
  return role?.type === "ensure" ? `runs after ${listBlockers(by)}` : `waits for ${listBlockers(by)}`
}

function describeTimer({ until: at, attempt, attemptsMax, lastLine }: Reason & { readonly type: "timer" }) {
  const of = attemptsMax === undefined ? "" : ` of ${attemptsMax}`
  const why = lastLine === undefined ? "" : `; the last thing it logged: ${lastLine}`
  return `attempt ${attempt}${of} failed; the next one starts at ${at}${why}`
}

function describeRunning(reason: Reason & { readonly type: "running" }): string {
  const { hostId, startedAt, attempt, timeoutAt, probing, calledOff, kill } = reason
  const what = probing === undefined ? "runs" : `finds out how attempt ${probing} ended`
  const which = attempt > 1 && probing === undefined ? ` (attempt ${attempt})` : ""
  if (!calledOff) return `${what} on ${hostId} since ${startedAt}${which}; times out at ${timeoutAt}`
  const how = kill ? "is killed" : "is told to end"
  return `${how} on ${hostId}, where it runs since ${startedAt}${which}, for the run goes on without it`
}

function describeOrphan(reason: Reason & { readonly type: "orphaned" }): string {
  const { hostId, attempt, claimTtlMs, next, place } = reason
  const gone = `attempt ${attempt} was cut off: its host ${hostId} is gone or let it go`
  const when = claimTtlMs === undefined ? "now" : `within ${formatDuration(claimTtlMs)}, when its claim ends`
  if (next === "ends") return `${gone}; it is written off ${when}`
  if (next === "resolution") return `${gone}; it has to be resolved, for no host can find out how it ended`
  return place === undefined
    ? `${gone}; another host takes it up ${when}`
    : `${gone}; nobody can take it up: ${describePlace(place)}`
}

function describeNoDriver(place: Placement & { readonly type: "driver" }): string {
  const { driver, nearest, hosts, unfit } = place
  const mend = nearest === undefined ? "" : ` (did you mean "${nearest}"?)`
  const where =
    unfit.length === 0
      ? `; there ${hosts.length === 1 ? "is" : "are"} ${list(hosts)}`
      : `; ${list(unfit.map(({ hostId, lacks }) => `${hostId} has it, and lacks ${formatLabels(lacks)}`))}`
  return `no ${unfit.length === 0 ? "host" : "host with the labels"} has the driver "${driver}"${mend}${where}`
}

function falseText(condition: ConditionOutlook | undefined): string {
  if (condition === undefined) return "it is not known any more"
  const { expression, falseParts = [expression] } = condition
  const parts = falseParts.join(" and ")
  const values = condition.values
    .filter((read) => parts.includes(read.expression) && !read.expression.endsWith("()"))
    .map(
      ({ expression: read, value }) =>
        `${read} is ${value === undefined ? "not there" : JSON.stringify(value)}`,
    )
  return values.length === 0 ? parts : `${parts} (${values.join(", ")})`
}

function listBlockers(by: readonly Blocker[]): string {
  return list(by.map(({ stepId, status }) => `"${stepId}" (${status})`))
}

function list(things: readonly string[]): string {
  const named = things.length > namedMax + 1 ? things.slice(0, namedMax) : things
  const rest = things.length - named.length
  return rest > 0 ? `${named.join(", ")} and ${rest} more` : named.join(", ")
}

function describeLoad({ hostId, attempts, attemptsMax }: HostLoad): string {
  return `${hostId} runs ${attempts} of ${attemptsMax}`
}

function until(at: string | undefined): string {
  return at === undefined ? "" : ` until ${at}`
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`
}
