import { formatDuration } from "../model/duration.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import { describeWaiting, type WaitingFor } from "../model/run.ts"
import type { Draft } from "./draft.ts"
import { failedToStart, isQueued, waiting } from "./step-states.ts"

/** It waits for a driver, a host, or data; not for longer than its `queueTimeout`. */
export function waitFor(draft: Draft, step: PipelineStep, waitingFor: WaitingFor): void {
  const before = draft.states.get(step.id)
  const { queueTimeoutMs } = step
  if (queueTimeoutMs !== undefined && before?.status === "waiting" && isQueued(before.waitingFor)) {
    if (draft.isOver(before.since, queueTimeoutMs)) {
      const late = waitingFor.type === "data" ? "it did not within" : "none came within"
      const message = `${describeWaiting(waitingFor)}: ${late} ${formatDuration(queueTimeoutMs)}`
      draft.settle(step.id, failedToStart(before, message, draft.now))
      return
    }
  }
  draft.wait(step.id, waiting(before, waitingFor, draft.now))
}
