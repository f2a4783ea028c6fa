import type { RunView, StepView } from "../model/run-view.ts"
import type { FollowedRun } from "./followed-run.ts"
import type { ServerSentEvent } from "./sse.ts"

/**
 * What happens in a run: `snapshot`, then `step` and `run` for what changed, then `end`. It is level-triggered: a client
 * that reads slowly is told the newest state of what changed, not each state on the way. Disposes the run when it ends.
 */
export async function* runEvents(
  observed: FollowedRun,
  signal: AbortSignal,
): AsyncGenerator<readonly ServerSentEvent[]> {
  using run = observed
  let version = run.version
  run.takeChangedSteps()
  const snapshot = await run.view()
  let told = summaryOf(snapshot)
  const toldSteps = new Map(snapshot.steps.map((step) => [step.id, keyOf(step)]))
  yield [{ event: "snapshot", data: snapshot }]

  while (!run.ended || run.version !== version) {
    version = await run.changedSince(version, signal)
    if (signal.aborted) return
    const steps = await changedSteps(run)
    const summary = summaryOf(run.viewWith(await run.plannedSteps()))
    const happened: ServerSentEvent[] = []
    for (const step of steps) {
      if (toldSteps.get(step.id) === keyOf(step)) continue
      toldSteps.set(step.id, keyOf(step))
      happened.push({ event: "step", data: step })
    }
    if (JSON.stringify(summary) !== JSON.stringify(told)) happened.push({ event: "run", data: summary })
    told = summary
    yield happened
  }
  yield [{ event: "end", data: told }]
}

/** Steps that may look different now: all of them when the run has ended, because then the rest are skipped. */
async function changedSteps(run: FollowedRun): Promise<readonly StepView[]> {
  const changed = run.takeChangedSteps()
  const planned = await run.plannedSteps()
  return run.viewWith(run.ended ? planned : planned.filter((step) => changed.has(step.id))).steps
}

/** Tells apart all that a step's view can be, without keeping its result. */
function keyOf(step: StepView): string {
  return `${step.attempt} ${step.status} ${step.message}`
}

function summaryOf({ steps: _, ...summary }: RunView): Omit<RunView, "steps"> {
  return summary
}
