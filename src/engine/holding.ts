import type { PipelineStep } from "../model/pipeline.ts"
import type { Held, Run, StepState, Verdict } from "../model/run.ts"
import type { Draft } from "./draft.ts"
import { stamp } from "./step-states.ts"

/* A run that is about to fail and waits for somebody to mend its pipeline or a driver: `hold` of a pipeline. */

/** Holds the run where its pipeline says so. Answers whether it did. */
export function hold(draft: Draft, steps: readonly PipelineStep[], verdict: Verdict): boolean {
  const { run, observed } = draft
  if (observed.pipeline?.holdMs === undefined || run.status !== "running") return false
  const drivers = toDoAgain(draft, steps).map(({ driver }) => driver)
  const known = [...new Set(drivers.flatMap((driver) => observed.host.servedAs(driver)))]
  draft.run = { ...run, held: { verdict, since: stamp(draft.now), known } }
  return true
}

/**
 * A held run goes on when something was mended, and fails when its time is over. Call it once all is known that started
 * before the hold was written: another host, on older news, may have started a step, and then it was too early to hold.
 */
export function watchHeld(draft: Draft, steps: readonly PipelineStep[], held: Held): void {
  if (steps.some(({ id }) => isUnderWay(draft.states.get(id)))) {
    draft.run = withoutHold(draft.run) as Run
  } else if (draft.isOver(held.since, draft.observed.pipeline?.holdMs ?? 0)) {
    draft.run = { ...withoutHold(draft.run), stopping: held.verdict } as Run
  } else if (isMended(draft, steps, held)) {
    resume(draft, steps)
  }
}

function isUnderWay(state: StepState | undefined): boolean {
  return state?.status === "running" || (state?.status === "waiting" && state.attempt > 0)
}

/** The steps that a mended run does again, with their ensure steps. */
function toDoAgain({ states }: Draft, steps: readonly PipelineStep[]): readonly PipelineStep[] {
  const again = new Set<string>()
  for (const { id, role } of steps) {
    const status = states.get(id)?.status
    if (role === undefined && (status === "failed" || status === "cancelled" || status === "skipped"))
      again.add(id)
  }
  return steps.filter(({ id, role }) => again.has(role?.type === "ensure" ? role.of : id))
}

/** Has the pipeline changed, or does a driver of what failed serve with new content? */
function isMended(draft: Draft, steps: readonly PipelineStep[], { known }: Held): boolean {
  const { currentHash, host } = draft.observed
  if (currentHash !== undefined && currentHash !== draft.run.pipeline?.hash) return true
  return toDoAgain(draft, steps).some(({ driver }) => {
    const hash = host.hashOf(driver)
    return hash !== undefined && !known.includes(hash)
  })
}

/**
 * The run goes on at what failed, on the pipeline and drivers of now, and with all of its time. It stays held until all
 * of that is written, and attempts are counted on, so that no token comes twice.
 */
function resume(draft: Draft, steps: readonly PipelineStep[]): void {
  for (const { id } of toDoAgain(draft, steps)) {
    const state = draft.states.get(id)
    if (state === undefined || state.status === "pending") continue
    draft.reset(id, ("lastAttempt" in state ? state.lastAttempt : undefined) ?? state.attempt)
  }
  const { drivers: _, values: __, ...run } = withoutHold(draft.run)
  const { currentHash } = draft.observed
  const { pipeline } = run
  draft.run = {
    ...run,
    mended: (run.mended ?? 0) + 1,
    mendedAt: stamp(draft.now),
    ...(currentHash === undefined || pipeline === undefined
      ? {}
      : { pipeline: { name: pipeline.name, hash: currentHash } }),
  } as Run
}

function withoutHold(run: Run): Omit<Run, "held"> {
  const { held: _, ...rest } = run as Run & { readonly held?: Held }
  return rest
}
