import type { PipelineStep } from "./pipeline.ts"
import type { StepState } from "./run.ts"
import type { StepStates } from "./standing.ts"
import { graphOf, upstreamOf } from "./step-graph.ts"

/** Which part of a run is done again: all of it, a step and what comes after it, or what did not succeed. */
export type RerunPart =
  | { readonly type: "whole" }
  | { readonly type: "from"; readonly stepId: string }
  | { readonly type: "failed" }

/**
 * The steps whose results a rerun keeps, by id: those that succeeded, with all that is upstream of them. `steps` are those the
 * new run goes along. Steps that clean up are never kept: they belong to the run that made what they tidy.
 */
export function keptSteps(
  part: RerunPart,
  steps: readonly PipelineStep[],
  { runId, states }: { readonly runId: string; readonly states: StepStates },
): ReadonlyMap<string, StepState> {
  const kept = new Map<string, StepState>()
  if (part.type === "whole") return kept
  for (const step of graphOf(steps).inOrder) {
    const state = states.get(step.id)
    if (step.role !== undefined || state?.status !== "succeeded") continue
    if (part.type === "from" && step.id === part.stepId) continue
    const upstream = [...upstreamOf(step, steps)]
    if (upstream.every((id) => kept.has(id)))
      kept.set(step.id, { ...state, keptFrom: state.keptFrom ?? runId })
  }
  return kept
}
