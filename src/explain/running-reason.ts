import { evaluateExpressions } from "../model/expression.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import { present } from "../model/present.ts"
import { stepScope } from "../model/run-scope.ts"
import { durationOf } from "../model/run-values.ts"
import type { Explaining } from "./explain-sources.ts"
import type { Reason } from "./explanation.ts"
import { isoAfter, placeFor } from "./step-place.ts"

/** Why a step is where it is that runs, by its record: a host does it, or its host is gone. */
export function runningReason(step: PipelineStep, calledOff: boolean, explaining: Explaining): Reason {
  const { sources } = explaining
  const state = sources.states.get(step.id)
  if (state?.status !== "running") throw new Error("a step that runs has a running record")
  const { hostId, startedAt, attempt, probing } = state
  const claim = sources.claims.get(step.id)
  const lives = sources.hosts.some((host) => host.hostId === hostId)
  const base = { hostId, startedAt, attempt }
  if (claim !== undefined && lives) {
    return present({
      type: "running" as const,
      ...base,
      timeoutAt: isoAfter(startedAt, timeoutMsOf(step, explaining)),
      probing: probing?.attempt,
      calledOff,
      kill: sources.run.cancel?.kill === true,
      processes: sources.processes.get(step.id),
    })
  }
  const found = placeFor(step, explaining)
  const isOut = found.type === "content" || found.type === "labels"
  return present({
    type: "orphaned" as const,
    ...base,
    claimTtlMs: claim === undefined ? undefined : sources.leaseTtlMs,
    next: calledOff ? "ends" : step.effects === "once" && isOut ? "resolution" : "again",
    place: found.type === "free" ? undefined : found,
  } as const)
}

/** How long the attempt may take: evaluated as it was when the attempt started. */
function timeoutMsOf(step: PipelineStep, { sources, standings }: Explaining): number {
  const { resource } = sources
  if (step.timeout === undefined || resource === undefined) return step.timeoutMs
  try {
    const value = evaluateExpressions(step.timeout, stepScope({ ...sources, resource }, step, { standings }))
    return durationOf(value, "the timeout")
  } catch {
    return step.timeoutMs
  }
}
