import { onceFor } from "./once-for.ts"
import type { PipelineStep } from "./pipeline.ts"

/** What the order of a pipeline's steps says, worked out once for each list of steps in memory. */
export interface StepGraph {
  readonly byId: ReadonlyMap<string, PipelineStep>
  /** The steps so that each stands behind all it needs: those of the way, their ensures, finally, deferred. */
  readonly inOrder: readonly PipelineStep[]
  /** The ensure steps of a step. */
  ensuresOf(stepId: string): readonly PipelineStep[]
}

const none: readonly PipelineStep[] = []

/** The graph of these steps, which must not change afterwards. */
export const graphOf = onceFor((steps: readonly PipelineStep[]): StepGraph => {
  const byId = new Map(steps.map((step) => [step.id, step]))
  const ensures = Map.groupBy(
    steps.filter(({ role }) => role?.type === "ensure"),
    ({ role }) => (role?.type === "ensure" ? role.of : ""),
  )
  return {
    byId,
    inOrder: sorted(steps, byId, ensures),
    ensuresOf: (stepId) => ensures.get(stepId) ?? none,
  }
})

/** A step may need one that is written further down. Iterative: chains may be long. */
function sorted(
  steps: readonly PipelineStep[],
  byId: ReadonlyMap<string, PipelineStep>,
  ensures: ReadonlyMap<string, readonly PipelineStep[]>,
): readonly PipelineStep[] {
  const placed = new Set<PipelineStep>()
  const entered = new Set<PipelineStep>()
  for (const step of steps) {
    const stack = [step]
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (placed.has(top) || entered.has(top)) {
        placed.add(top)
        stack.pop()
        continue
      }
      entered.add(top)
      for (const need of top.needs) {
        // What needs a step waits for its ensure steps, too; these need nothing else.
        const before = [byId.get(need), ...(top.role === undefined ? (ensures.get(need) ?? none) : none)]
        for (const one of before) if (one !== undefined && !entered.has(one)) stack.push(one)
      }
    }
  }
  return [...placed]
}

/**
 * The ids of all steps that are upstream of this one, near or far: whose results and states it may read. For a step of
 * `finally`, and a deferred one, that is every step of the way.
 */
export function upstreamOf(step: PipelineStep, steps: readonly PipelineStep[]): ReadonlySet<string> {
  const { byId } = graphOf(steps)
  const upstream = new Set<string>()
  const left = [...step.needs]
  if (step.role?.type === "finally" || step.role?.type === "deferred") {
    for (const { id, role } of steps) if (role === undefined || role.type === "ensure") left.push(id)
  }
  for (let id = left.pop(); id !== undefined; id = left.pop()) {
    if (upstream.has(id)) continue
    upstream.add(id)
    left.push(...(byId.get(id)?.needs ?? []))
  }
  return upstream
}
