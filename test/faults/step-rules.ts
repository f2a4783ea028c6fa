import type { PipelineStep } from "../../src/model/pipeline.ts"
import { type Claim, isEnded, type Run, type StepState } from "../../src/model/run.ts"
import { failureOf, faultOfOrder, handles, isStopping, type Scene } from "./order-rules.ts"

/*
 * What must be so at each change of a step, whoever made it:
 *
 *   - a step that has ended never changes, unless its run was held and goes on, mended; and no step changes after its
 *     run's end
 *   - attempts are numbered 1, 2, 3, …, each number is given once, and numbers never go back
 *   - an attempt starts only where nobody holds the step, and in the order of order-rules.ts
 *   - a step is skipped before it was attempted, where it has an `if`
 *   - an attempt is ended by the host that holds it; when nobody holds it, it is cancelled where its run goes on without
 *     it, and a cut-off attempt that must not be done twice waits for a word
 *   - a step is tried again only when its attempt failed, `retry` has one left and its driver does not say that it is in
 *     vain; and fails only when there is no other attempt
 *   - an attempt that takes up a cut-off one goes under that one's origin, so that both have the same token; any other
 *     goes under its own
 *   - a cut-off attempt of a step with `effects: once` is followed by a probe or a word, never by another attempt, and
 *     a step without it is never asked about
 *   - a run that does a part of another again begins with results of that one
 *   - the first word on how an attempt ended stands, and the step ends by that word
 */

/** A change of a step, and what there was before it. */
export interface StepMoment {
  readonly header: Run | undefined
  readonly step: PipelineStep | undefined
  readonly before: StepState | undefined
  readonly after: StepState
  readonly claim: Claim | undefined
  readonly scene: Omit<Scene, "header">
  /** The run was held until this very revision, or is. */
  readonly held: boolean
  /** Did its driver say that its failure is not worth another attempt? */
  readonly givesUp: boolean
}

type Running = StepState & { readonly status: "running" }
type Waiting = StepState & { readonly status: "waiting" }

/** What is wrong with this change, as the end of a sentence; undefined when nothing is. */
export function faultOfStep(moment: StepMoment): string | undefined {
  const { header, before, after } = moment
  if (header === undefined || isEnded(header.status)) return "changed after the end of its run"
  if (after.status === "pending") return faultOfReset(moment)
  if (before !== undefined && "result" in before) return "got a result twice"
  if (before?.status === "skipped") return "was skipped, and changed"
  if (moment.step === undefined) return "is in no pipeline"
  if (after.status === "running") return faultOfStart(moment, header, after)
  if (after.status === "skipped") return faultOfSkip(moment)
  if (before?.status === "running") return faultOfEnd(moment, before)
  if (before?.status === "waiting") return faultOfWaiting(moment, before)
  if (
    before === undefined &&
    "keptFrom" in after &&
    header.rerunOf !== undefined &&
    header.status === "pending"
  )
    return undefined
  if (after.attempt !== (before?.attempt ?? 0)) return `came after #${before?.attempt ?? 0}`
  return after.status === "waiting" || couldNotStart(after)
    ? undefined
    : `is ${after.status} and never started`
}

/** A step is done again, as if it had not run. */
function faultOfReset({ before, after, held }: StepMoment): string | undefined {
  if (!held) return "is done again, and its run was not held"
  const isQueued = before?.status === "waiting" && before.attempt === 0
  if (
    before === undefined ||
    !(isQueued || ["failed", "cancelled", "skipped", "succeeded"].includes(before.status))
  )
    return "is done again, and had not ended"
  const last = ("lastAttempt" in before ? before.lastAttempt : undefined) ?? before.attempt
  return after.attempt === last ? undefined : `came after #${last}`
}

function faultOfSkip({ step, before, after }: StepMoment): string | undefined {
  if (step?.if === undefined) return "was skipped, and has no condition"
  if (before?.status === "running") return "was skipped while it ran"
  return after.attempt === (before?.attempt ?? 0) ? undefined : `came after #${before?.attempt ?? 0}`
}

/** It failed without an attempt: its condition or its input has no value, or nobody came for it in time. */
const couldNotStart = (after: StepState) => after.status === "failed" && after.driverHash === undefined

function faultOfStart({ step, before, claim, scene }: StepMoment, header: Run, after: Running) {
  if (after.attempt !== (before?.attempt ?? 0) + 1) return `came after #${before?.attempt ?? 0}`
  if (claim !== undefined) return `started while ${claim.hostId} held #${claim.attempt}`
  const disorder = step === undefined ? undefined : faultOfOrder({ ...scene, header }, step)
  if (disorder !== undefined) return disorder
  if (after.origin !== originAfter(before)) return `goes under #${after.origin}, not #${originAfter(before)}`
  const once = step?.effects === "once"
  if ((after.probing !== undefined) !== (once && before?.status === "running")) {
    return after.probing === undefined ? "does again what must happen once" : "probes without a reason"
  }
  if (before?.status !== "waiting") return undefined
  if (before.waitingFor.type !== "resolution") return undefined
  return before.resolution?.outcome === "retry" ? undefined : "started without a word on the one before"
}

/** The attempt whose token the next one has; undefined: its own. */
function originAfter(before: StepState | undefined): number | undefined {
  if (before?.status === "running") return before.origin ?? before.attempt
  return before?.status === "waiting" ? before.origin : undefined
}

/** An attempt is over, one way or another. */
function faultOfEnd(moment: StepMoment, before: Running): string | undefined {
  const { step, after, claim } = moment
  const once = step?.effects === "once"
  const asks = after.status === "waiting" && after.waitingFor.type === "resolution"
  if (asks && !once) return "is asked about, and may be done again"
  if (claim === undefined) {
    if (after.status === "cancelled") {
      return isCalledOff(moment) ? undefined : "was cancelled without a reason"
    }
    if (after.status === "waiting" && after.waitingFor.type !== "timer")
      return faultOfPostponed(after, before)
    return `was ended as ${after.status} by a host that did not hold it`
  }
  if (claim.hostId !== before.hostId || claim.attempt !== before.attempt) return "is held by another host"
  if (after.status === "waiting") {
    if (after.attempt !== before.attempt) return `took the place of #${before.attempt}`
    if (asks) return before.probing === undefined ? "is asked about, and nothing cut it off" : undefined
    if (after.waitingFor.type !== "timer")
      return `waits for a ${after.waitingFor.type} in the hands of its host`
    if (moment.givesUp) return "is tried again, and its driver says that it is in vain"
    const attempts = step?.retry?.attempts ?? 1
    return madeBy(before) < attempts ? undefined : `is tried again, and ${attempts} are all it has`
  }
  const numbers = after.status === "cancelled" ? [before.attempt, madeBy(before)] : [madeBy(before)]
  if (!numbers.includes(after.attempt)) return `took the place of #${before.attempt}`
  const mayRetry = madeBy(before) < (step?.retry?.attempts ?? 1) && !moment.givesUp
  return after.status === "failed" && mayRetry && !isCalledOff(moment)
    ? "failed, and had another attempt"
    : undefined
}

/** The attempt that did the work: the one that a probe asks about. */
const madeBy = ({ probing, attempt }: Running) => probing?.attempt ?? attempt

/** It waits for a driver, a host or a word before its cut-off attempt is taken up. */
function faultOfPostponed(after: Waiting, before: Running): string | undefined {
  if (after.attempt !== before.attempt) return `took the place of #${before.attempt}`
  return after.origin === originAfter(before) ? undefined : "lost the token of the one it takes up"
}

function faultOfWaiting(moment: StepMoment, before: Waiting): string | undefined {
  const { after } = moment
  if (after.status === "cancelled") {
    return isCalledOff(moment) ? undefined : "was cancelled without a reason"
  }
  if (before.waitingFor.type !== "resolution") {
    return (after.status === "waiting" || couldNotStart(after)) && after.attempt === before.attempt
      ? undefined
      : `is ${after.status}, and waited`
  }
  const { resolution } = before
  if (after.status === "waiting") {
    if (!Bun.deepEquals(after.waitingFor, before.waitingFor)) return "has another question"
    return resolution === undefined ? undefined : "was resolved twice"
  }
  if (resolution === undefined) return `is ${after.status}, and nobody said so`
  const isTheWord =
    "result" in after &&
    resolution.outcome === after.status &&
    "result" in resolution &&
    Bun.deepEquals(resolution.result, after.result)
  return isTheWord ? undefined : `is ${after.status}, and the word was ${resolution.outcome}`
}

/** Does its run go on without it? */
function isCalledOff({ header, step, scene }: StepMoment): boolean {
  if (header === undefined || step === undefined) return false
  if (step.role !== undefined) return header.cancel?.cleanup === false
  return isStopping(header) || (!handles(step) && failureOf(scene) !== undefined)
}
