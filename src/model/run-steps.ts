import type { Pipeline, PipelineStep } from "./pipeline.ts"
import type { Run } from "./run.ts"

const none: readonly PipelineStep[] = []
/** The lists that were put together, by what was deferred, so that the same records give the same list. */
const joined = new WeakMap<readonly PipelineStep[], Joined>()

interface Joined {
  /** What they were put behind: a run that was mended goes on with others. */
  readonly steps: readonly PipelineStep[]
  readonly all: readonly PipelineStep[]
}

/**
 * The steps of a run: those of its pipeline revision, or its own without a pipeline; then what its drivers deferred, the
 * last one first. Without deferred steps that is the pipeline's very list.
 */
export function stepsOfRun(run: Run, pipeline: Pick<Pipeline, "steps"> | undefined): readonly PipelineStep[] {
  const steps = run.steps ?? pipeline?.steps ?? none
  const { deferred } = run
  if (deferred === undefined) return steps
  const known = joined.get(deferred)
  if (known?.steps === steps) return known.all
  const all = [...steps, ...lastFirst(deferred, steps)]
  joined.set(deferred, { steps, all })
  return all
}

/** Each waits for the one that was deferred after it, and the last for the steps of `finally`, whatever becomes of them. */
function lastFirst(deferred: readonly PipelineStep[], steps: readonly PipelineStep[]): PipelineStep[] {
  let before = steps.filter(({ role }) => role?.type === "finally").map(({ id }) => id)
  return deferred.toReversed().map((step) => {
    const placed = { ...step, needs: before, optional: before }
    before = [step.id]
    return placed
  })
}
