import type { PipelineStep } from "../model/pipeline.ts"
import { hostBefore } from "../model/run-place.ts"
import type { Draft } from "./draft.ts"

/* What follows from where a run is: who starts its steps, and the places where its log lies. Pure. */

/** How long a step is left to the host the run is on. */
const leftMs = 300

/**
 * Is a step that could start here left to the host the run is on, which has its workspace? Only for a short time, and when
 * that host is alive and could start it too; else whoever looks first starts it. `hash`: the code it is pinned to.
 */
export function isLeft(draft: Draft, step: PipelineStep, hash: string | undefined): boolean {
  const { host, left } = draft.observed
  const { monotonicMs } = draft.now
  const preferred = hostBefore(step, draft)
  if (preferred === undefined || preferred === host.hostId) return false
  if (!host.couldStart(preferred, { name: step.driver, hash })) return false
  const untilMs = left.get(step.id) ?? monotonicMs + leftMs
  if (untilMs <= monotonicMs) return false
  if (!left.has(step.id)) draft.effect({ type: "leave", stepId: step.id, untilMs })
  draft.wakeAt(untilMs)
  return true
}

/** Where attempts of this host log, by index in the run's places. A new place is written down in the header. */
export function logPlace(draft: Draft): number {
  const { folder, hostId } = draft.observed.host
  const places = draft.run.logs ?? []
  const known = places.findIndex((place) => place.folder === folder)
  if (known >= 0) return known
  draft.run = { ...draft.run, logs: [...places, { folder, hostId }] }
  return places.length
}
