import type { PipelineStep } from "../model/pipeline.ts"
import type { Run, StepState } from "../model/run.ts"
import type { HostView, Now, Observed } from "./decision.ts"

/* Where a run is: the host that has its workspace, and the places where its log lies. Pure. */

/** How long a step is left to the host the run is on. */
const leftMs = 300

interface Situation {
  readonly observed: Observed
  readonly run: Run
  readonly stateOf: (stepId: string) => StepState | undefined
  readonly now: Now
}

/**
 * Until when (monotonic) a step that could start here is left to the host the run is on, which has its workspace: that
 * host is alive and could start it too. Undefined when it is not, or not any more: then whoever looks first starts it.
 */
export function leftUntilMs(step: PipelineStep, situation: Situation): number | undefined {
  const { observed, run, now } = situation
  const { host, left } = observed
  const preferred = hostBefore(step, situation)
  const driver = { name: step.driver, hash: run.drivers?.[step.driver] }
  if (preferred === undefined || preferred === host.hostId || !host.couldStart(preferred, driver))
    return undefined
  const untilMs = left.get(step.id) ?? now.monotonicMs + leftMs
  return untilMs > now.monotonicMs ? untilMs : undefined
}

/** The host that did the last of the steps before this one; for one that follows none, the last that came to the run. */
function hostBefore({ needs }: PipelineStep, { run, stateOf }: Situation): string | undefined {
  let hostId = needs.length === 0 ? run.logs?.at(-1)?.hostId : undefined
  let finishedAt = ""
  for (const need of needs) {
    const state = stateOf(need)
    if (state === undefined || !("finishedAt" in state) || state.finishedAt <= finishedAt) continue
    hostId = state.hostId
    finishedAt = state.finishedAt
  }
  return hostId
}

/** The run with this host's data folder among its places, and the index of it there. */
export function placedOn({ folder, hostId }: HostView, run: Run): readonly [run: Run, place: number] {
  const places = run.logs ?? []
  const known = places.findIndex((place) => place.folder === folder)
  return known >= 0 ? [run, known] : [{ ...run, logs: [...places, { folder, hostId }] }, places.length]
}
