import type { HeldLease } from "../hosts/host-lease.ts"
import { isEnded } from "../model/run.ts"
import { activeRunKey, claimKey, runKey, stepKey } from "../store/keys.ts"
import {
  commitBytesMax,
  type Guard,
  type Lease,
  operationsMax,
  type Revision,
  type Write,
} from "../store/store.ts"
import type { ConcurrencyKeys } from "./concurrency-keys.ts"
import type { Transition } from "./decision.ts"
import type { ObservedRun } from "./observe.ts"

/** What commits have to do with concurrency keys. */
export type KeyRecords = Pick<ConcurrencyKeys, "change" | "wrote">

/** Transitions as one commit: the first `taken` of a plan's, as many as one commit may hold. */
export interface TransitionCommit {
  readonly guards: readonly Guard[]
  readonly writes: readonly Write[]
  readonly taken: readonly Transition[]
}

/**
 * Turns transitions into a commit that applies only if everything they were decided on is still so:
 *
 *   header    the header is unchanged, and who holds   → header (and, at the end, the active mark is deleted)
 *             its concurrency key, where that changes,
 *             and the pipeline it goes on along, mended
 *   start     the header and the step are unchanged,   → step, claim under this host's lease
 *             nobody holds the step
 *   settle    the claim, or its absence, is unchanged, → step, no claim
 *             so is the step; where nobody holds it,
 *             the header, too
 *   wait,     the header and the step are unchanged,   → step
 *   skip,     nobody holds the step
 *   reset
 *   release   the claim is unchanged                   → no claim
 *
 * and, all of them, only while this host's lease lives.
 */
export function commitOf(
  run: ObservedRun,
  transitions: readonly Transition[],
  { lease, fence }: HeldLease,
  keys: KeyRecords,
): TransitionCommit {
  const guards = new Map<string, Guard>([[fence.key, fence]])
  const writes: Write[] = []
  const taken: Transition[] = []
  let bytes = 0
  for (const transition of transitions) {
    const part = partOf(run, transition, { lease, keys })
    const newGuards = part.guards.filter((guard) => !guards.has(guard.key))
    const operations = guards.size + newGuards.length + writes.length + part.writes.length
    bytes += part.writes.reduce((sum, write) => sum + bytesOf(write), 0)
    if (taken.length > 0 && (operations > operationsMax || bytes > commitBytesMax)) break
    for (const guard of newGuards) guards.set(guard.key, guard)
    writes.push(...part.writes)
    taken.push(transition)
  }
  return { guards: [...guards.values()], writes, taken }
}

/** An upper bound: a character takes at most 3 bytes in UTF-8 for each of its UTF-16 units. */
function bytesOf(write: Write): number {
  return 3 * (write.key.length + (write.type === "put" ? write.value.length : 0))
}

function partOf(
  run: ObservedRun,
  transition: Transition,
  { lease, keys }: { readonly lease: Lease; readonly keys: KeyRecords },
): { guards: readonly Guard[]; writes: readonly Write[] } {
  const { runId } = run
  switch (transition.type) {
    case "header": {
      const put: Write = { type: "put", key: runKey(runId), value: JSON.stringify(transition.run) }
      const key = transition.key && keys.change(transition.key.name, transition.key.record)
      const writes: Write[] = key === undefined ? [put] : [put, key.write]
      if (isEnded(transition.run.status)) writes.push({ type: "delete", key: activeRunKey(runId) })
      const guards = [run.headerGuard(), key?.guard, transition.current?.guard]
      return { guards: guards.filter((guard) => guard !== undefined), writes }
    }
    case "start": {
      const { stepId, state } = transition
      const claim = { hostId: state.hostId, attempt: state.attempt }
      return {
        guards: [run.headerGuard(), run.stateGuard(stepId), run.claimGuard(stepId)],
        writes: [
          { type: "put", key: stepKey(runId, stepId), value: JSON.stringify(state) },
          { type: "put", key: claimKey(runId, stepId), value: JSON.stringify(claim), lease },
        ],
      }
    }
    case "settle": {
      const { stepId, state } = transition
      return {
        guards: [
          // Who holds an attempt ends it, whatever has become of its run. Nobody else may once the run has ended.
          ...(run.claims.has(stepId) ? [] : [run.headerGuard()]),
          run.stateGuard(stepId),
          run.claimGuard(stepId),
        ],
        writes: [
          { type: "put", key: stepKey(runId, stepId), value: JSON.stringify(state) },
          { type: "delete", key: claimKey(runId, stepId) },
        ],
      }
    }
    case "wait":
    case "skip":
    case "reset": {
      const { stepId, state } = transition
      return {
        guards: [run.headerGuard(), run.stateGuard(stepId), run.claimGuard(stepId)],
        writes: [{ type: "put", key: stepKey(runId, stepId), value: JSON.stringify(state) }],
      }
    }
    case "release":
      return {
        guards: [run.claimGuard(transition.stepId)],
        writes: [{ type: "delete", key: claimKey(runId, transition.stepId) }],
      }
    default:
      transition satisfies never
      throw new Error("every transition has its commit")
  }
}

/** Takes the committed transitions into what is known of the run, so that the next plan need not wait for the watch. */
export function takeIn(
  run: ObservedRun,
  transitions: readonly Transition[],
  { revision, keys }: { readonly revision: Revision; readonly keys: KeyRecords },
): void {
  for (const transition of transitions) {
    switch (transition.type) {
      case "header":
        run.wroteHeader(transition.run, revision)
        if (transition.key !== undefined) keys.wrote(transition.key.name, transition.key.record, revision)
        break
      case "start": {
        const { stepId, state } = transition
        run.wroteState(stepId, state, revision)
        run.wroteClaim(stepId, { hostId: state.hostId, attempt: state.attempt }, revision)
        break
      }
      case "settle":
        run.wroteState(transition.stepId, transition.state, revision)
        run.wroteClaim(transition.stepId, undefined, revision)
        break
      case "wait":
      case "skip":
      case "reset":
        run.wroteState(transition.stepId, transition.state, revision)
        break
      case "release":
        run.wroteClaim(transition.stepId, undefined, revision)
        break
      default:
        transition satisfies never
    }
  }
}
