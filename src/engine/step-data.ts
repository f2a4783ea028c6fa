import {
  dataReadByCondition,
  dataReadByInputs,
  largeDataBefore,
  readOf,
  readsAny,
  type StepData,
} from "../model/data-needs.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import type { WaitingFor } from "../model/run.ts"
import type { Draft } from "./draft.ts"
import { waitFor } from "./queueing.ts"
import { failedToStart, unresolved } from "./step-states.ts"

/* Whether the large data of earlier steps is at hand that a step needs. Pure. */

/** So often it is looked whether a host that has needed data answers again. */
const retryMs = 2_000

/** What a step needs: it waits for `must`, and takes of `may` what can be had. */
interface Needs {
  readonly must: readonly StepData[]
  readonly may: readonly StepData[]
}

/** Is at hand what its `if` reads? If not, what is to be done about it is planned. */
export function hasConditionData(draft: Draft, step: PipelineStep): boolean {
  const reads = dataReadByCondition(step)
  return !readsAny(reads) || isAtHand(draft, step, { must: readOf(reads, dataBefore(draft, step)), may: [] })
}

/** Is at hand what an attempt needs that runs this code? If not, what is to be done about it is planned. */
export function hasAttemptData(draft: Draft, step: PipelineStep, driverHash: string): boolean {
  return isAtHand(draft, step, attemptNeeds(draft, step, driverHash))
}

/** As {@link hasAttemptData} for an attempt that is claimed already: `away` when it cannot be made here and now. */
export function claimedData(draft: Draft, step: PipelineStep, driverHash: string): "here" | "asked" | "away" {
  const { must, may } = attemptNeeds(draft, step, driverHash)
  if (asks(draft, [...must, ...may])) return "asked"
  return must.every(({ ref }) => draft.observed.dataOf(ref)?.type === "here") ? "here" : "away"
}

function dataBefore({ observed, states }: Draft, step: PipelineStep): readonly StepData[] {
  return largeDataBefore(step, { steps: observed.steps, states })
}

/** What its expressions read, and what its driver may read: a step that cleans up is not held up for the latter. */
function attemptNeeds(draft: Draft, step: PipelineStep, driverHash: string): Needs {
  const all = dataBefore(draft, step)
  if (all.length === 0) return { must: all, may: all }
  const must = readOf(dataReadByInputs(step), all)
  if (!draft.observed.host.readsResults(driverHash)) return { must, may: [] }
  return step.role === undefined ? { must: all, may: [] } : { must, may: all }
}

function isAtHand(draft: Draft, step: PipelineStep, { must, may }: Needs): boolean {
  if (asks(draft, [...must, ...may])) return false
  for (const { stepId, ref } of must) {
    const found = draft.observed.dataOf(ref)
    if (found === undefined || found.type === "here") continue
    const before = draft.states.get(step.id)
    if (before?.status === "running" && step.effects === "once") {
      // Its probe cannot be asked without what it is to be given.
      draft.wait(step.id, unresolved(before, draft.now))
    } else if (found.type === "lost") {
      const message = `The data of step "${stepId}" (${ref.bytes} bytes) is lost: ${found.message}`
      draft.settle(step.id, failedToStart(before, message, draft.now))
    } else {
      const { bytes, hostId } = ref
      const waitingFor: WaitingFor = { type: "data", stepId, bytes, hostId }
      waitFor(draft, step, waitingFor)
      draft.wakeAt(draft.now.monotonicMs + retryMs)
    }
    return false
  }
  return true
}

/** Is any of it to be asked for first? */
function asks(draft: Draft, needs: readonly StepData[]): boolean {
  const unknown = needs.filter(({ ref }) => draft.observed.dataOf(ref) === undefined)
  for (const { ref } of unknown) draft.lack(ref)
  return unknown.length > 0
}
