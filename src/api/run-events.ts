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
  const snapshot = await run.view()
  let told = summaryOf(snapshot)
  const toldSteps = new Map(snapshot.steps.map((step) => [step.id, keyOf(step)]))
  yield [{ event: "snapshot", data: snapshot }]

  while (!run.ended || run.version !== version) {
    version = await run.changedSince(version, signal)
    if (signal.aborted) return
    const { steps, ...summary } = await run.view()
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

/** Tells apart all that a step's view can be, without keeping its result. */
function keyOf(step: StepView): string {
  return `${step.attempt} ${step.status} ${step.message}`
}

function summaryOf({ steps: _, ...summary }: RunView): Omit<RunView, "steps"> {
  return summary
}
