import type { LogPlace } from "../model/log.ts"
import type { Run, StepState } from "../model/run.ts"
import { runKey } from "../store/keys.ts"
import { notFound } from "./problem.ts"
import type { ApiContext } from "./route.ts"

/** The most steps that are named in a sentence. */
const namedMax = 10

/** Where lines of the run lie. A run without a note of it was made by hand, or has none: what is here is looked at. */
export function placesOf({ folder, hostId }: ApiContext, run: Run): readonly LogPlace[] {
  return run.logs ?? [{ folder, hostId }]
}

/**
 * Writes down that lines of the run lie in this host's data folder, before the first one is written there, so that every
 * host finds them. `NOT_FOUND` when there is no such run.
 */
export async function comeTo({ store, folder, hostId }: ApiContext, runId: string): Promise<void> {
  const key = runKey(runId)
  for (;;) {
    const entry = await store.get(key)
    if (entry === undefined) throw notFound("run", runId)
    const run = JSON.parse(entry.value) as Run
    const logs = run.logs ?? []
    if (logs.some((place) => place.folder === folder)) return
    const value = JSON.stringify({ ...run, logs: [...logs, { folder, hostId }] })
    const guards = [{ key, modRevision: entry.modRevision }]
    if ((await store.commit(guards, [{ type: "put", key, value }])) !== undefined) return
  }
}

/** What cannot be read now, for people: why, and the attempts whose lines are missing. */
export function describeAbsence(
  message: string,
  place: number,
  states: ReadonlyMap<string, StepState>,
): string {
  const steps = [...states].flatMap(([stepId, state]) => {
    const attempts = attemptsIn(place, state)
    if (attempts.length === 0) return []
    return [`${stepId} (${attempts.length === 1 ? "attempt" : "attempts"} ${attempts.join(", ")})`]
  })
  if (steps.length === 0) return `${message}; its lines are missing`
  const more = steps.length > namedMax ? ` and ${steps.length - namedMax} more steps` : ""
  return `${message}; its lines are missing: ${steps.slice(0, namedMax).join(", ")}${more}`
}

function attemptsIn(place: number, { attempt, logs }: StepState): readonly number[] {
  return Array.from({ length: attempt }, (_, index) => index + 1).filter(
    (number) => (logs?.[number - 1] ?? 0) === place,
  )
}
