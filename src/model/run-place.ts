import type { PipelineStep } from "./pipeline.ts"
import type { Run } from "./run.ts"
import type { StepStates } from "./standing.ts"

/**
 * The host whose workspace a step finds as the steps before left it: the one that did the last of these; for a step that
 * follows none, the last one that came to the run. It may be gone by now.
 */
export function hostBefore(
  { needs }: Pick<PipelineStep, "needs">,
  { run, states }: { readonly run: Run; readonly states: StepStates },
): string | undefined {
  let hostId = needs.length === 0 ? run.logs?.at(-1)?.hostId : undefined
  let finishedAt = ""
  for (const need of needs) {
    const state = states.get(need)
    if (state === undefined || !("hostId" in state && "finishedAt" in state)) continue
    if (state.finishedAt <= finishedAt) continue
    hostId = state.hostId
    finishedAt = state.finishedAt
  }
  return hostId
}
