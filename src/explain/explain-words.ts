import type { PipelineStep } from "../model/pipeline.ts"
import { describeSkip } from "../model/standing.ts"
import { describeEnd, describeOrphan, describeRunning, describeTimer } from "./attempt-words.ts"
import type { ConditionOutlook } from "./condition-outlook.ts"
import type { Blocker, Reason } from "./explanation.ts"
import { listNames, listOf } from "./name-list.ts"
import { describePlace } from "./placement-words.ts"

/* Reasons as people read them: each is one sentence that begins where the name of its step ends. */

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
    case "concurrency":
      return `waits with its run for the concurrency key "${reason.key}"`
    case "place": {
      const since = reason.since === undefined ? "" : ` (since ${reason.since})`
      const then = reason.until === undefined ? "" : `; it fails at ${reason.until} if that stays so`
      return `${describePlace(reason.place)}${since}${then}`
    }
    case "starting":
      return `nothing is in its way: ${listOf(reason.hosts)} can start it now${describeWorkspace(reason)}`
    case "conditionDue":
      return reason.outcome === "false"
        ? `is about to be skipped: its condition is false: ${falseText(condition)}`
        : `is about to fail: ${condition?.message ?? "its condition has no value"}`
    case "timer":
      return describeTimer(reason)
    case "data": {
      const { of, bytes, hostId, since } = reason
      const then = reason.until === undefined ? "" : `; it fails at ${reason.until} if that stays so`
      return `waits for host ${hostId}, which has the data of step "${of}" (${bytes} bytes) and does not answer (since ${since})${then}`
    }
    case "resolution":
      return reason.resolved
        ? `somebody has said how attempt ${reason.attempt} ended; a host is about to take note`
        : `nobody knows how attempt ${reason.attempt} ended, which was cut off on ${reason.hostId}: say it with POST /runs/:id/steps/:step/resolve (since ${reason.since})`
    case "running":
      return describeRunning(reason)
    case "orphaned":
      return describeOrphan(reason)
    case "calledOff":
      return "gets no other attempt, for the run does without it"
    default:
      return reason satisfies never
  }
}

/** Why a run that waits for its key does not have it. */
export function describeConcurrency(reason: Reason & { readonly type: "concurrency" }): string {
  const { key, limit, holders, ahead, replaces, since } = reason
  const held = holders.map((holder) => `run ${holder.runId} since ${holder.since}`)
  const by = held.length === 0 ? "" : `, held by ${listOf(held)}`
  const room = replaces === true ? ", which is cancelled to make room for it" : ""
  const turn =
    ahead.length === 0
      ? ""
      : `; before it in the queue: ${ahead.length === 1 ? "run" : "runs"} ${listOf(ahead)}`
  return `waits since ${since} for the concurrency key "${key}" (${count(limit, "run")} at a time)${by}${room}${turn}`
}

/** Whether the step finds the workspace as the steps before it left it. */
function describeWorkspace({ hosts, workspace }: Reason & { readonly type: "starting" }): string {
  if (workspace === undefined) return ""
  const { hostId, state } = workspace
  if (state === "gone") return `; the workspace was on ${hostId}, which is gone`
  if (state === "unable") return `; the workspace is on ${hostId}, which cannot start it now`
  return hosts.length > 1 ? `; ${hostId} goes first, for it has the workspace` : ""
}

function describeBlocked(
  { by, brokenBy, place }: Reason & { readonly type: "blocked" },
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
  const lacks = place === undefined ? "" : `; and ${describePlace(place)}`
  return `${role?.type === "ensure" ? "runs after" : "waits for"} ${listBlockers(by)}${lacks}`
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
  return listOf(by.map(({ stepId, status }) => `"${stepId}" (${status})`))
}

function until(at: string | undefined): string {
  return at === undefined ? "" : ` until ${at}`
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`
}
