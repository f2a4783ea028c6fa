import type { PipelineStep } from "../model/pipeline.ts"
import type { Held, Run, StepState, StepStatus, Verdict } from "../model/run.ts"
import type { Draft } from "./draft.ts"
import { begin, servedHere } from "./starting.ts"
import { stamp, toBeDoneAgain } from "./step-states.ts"

/* A run that is about to fail and waits for somebody to mend its pipeline or a driver: `hold` of a pipeline. */

/** Holds the run where its pipeline says so. Answers whether it did. */
export function hold(draft: Draft, steps: readonly PipelineStep[], verdict: Verdict): boolean {
  const { observed } = draft
  if (observed.pipeline?.holdMs === undefined) return false
  begin(draft, steps)
  const drivers = toDoAgain(draft, steps).map(({ driver }) => driver)
  const known = [...new Set(drivers.flatMap((driver) => observed.host.servedAs(driver)))]
  draft.run = { ...draft.run, held: { verdict, since: stamp(draft.now), known } } as Run
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

const isNotDone: ReadonlySet<StepStatus> = new Set(["failed", "cancelled", "skipped", "pending"])

/**
 * The steps that a mended run does again, with their ensure steps. One that is reset is still among them: what is to be
 * reset may be more than one commit takes, and the next look must find the same.
 */
function toDoAgain({ states }: Draft, steps: readonly PipelineStep[]): readonly PipelineStep[] {
  const again = new Set<string>()
  for (const { id, role } of steps) {
    const status = states.get(id)?.status
    if (role === undefined && status !== undefined && isNotDone.has(status)) again.add(id)
  }
  return steps.filter(({ id, role }) => again.has(role?.type === "ensure" ? role.of : id))
}

/** Has the pipeline changed, or does a driver of what failed serve with new content? */
function isMended(draft: Draft, steps: readonly PipelineStep[], { known }: Held): boolean {
  const { current, host } = draft.observed
  if (current !== undefined && current.hash !== draft.run.pipeline?.hash) return true
  return toDoAgain(draft, steps).some(({ driver }) => {
    const hash = host.hashOf(driver)
    return hash !== undefined && !known.includes(hash)
  })
}

/**
 * The run goes on at what failed, on the pipeline and drivers of now, and with all of its time. It stays held until all
 * of that is written, and attempts are counted on, so that no token comes twice. The drivers are those of this host, which
 * knows what was mended: another one may have the old ones still.
 */
function resume(draft: Draft, steps: readonly PipelineStep[]): void {
  const again = new Set(toDoAgain(draft, steps))
  for (const step of steps) {
    const state = draft.states.get(step.id)
    if (state === undefined || state.status === "pending") continue
    // What waits has not been attempted: it may wait for all of its `queueTimeout` from now on.
    if (again.has(step) || state.status === "waiting") draft.reset(step.id, toBeDoneAgain(state))
  }
  const { drivers: _, values: __, ...run } = withoutHold(draft.run)
  const { current } = draft.observed
  const { pipeline } = run
  draft.current = current
  draft.run = {
    ...run,
    drivers: servedHere(draft, steps),
    mended: (run.mended ?? 0) + 1,
    mendedAt: stamp(draft.now),
    ...(current === undefined || pipeline === undefined
      ? {}
      : { pipeline: { name: pipeline.name, hash: current.hash } }),
  } as Run
}

function withoutHold(run: Run): Omit<Run, "held"> {
  const { held: _, ...rest } = run as Run & { readonly held?: Held }
  return rest
}
