import type { PipelineStep } from "../model/pipeline.ts"
import { present } from "../model/present.ts"
import { pinnedCode, type StepState } from "../model/run.ts"
import { hostBefore } from "../model/run-place.ts"
import type { Explaining } from "./explain-sources.ts"
import type { Reason } from "./explanation.ts"
import { type Placement, placementOf } from "./placement.ts"

/** Where the step could be attempted now. */
export function placeFor(step: PipelineStep, { sources }: Pick<Explaining, "sources">): Placement {
  const { run, pipeline, hosts, kept } = sources
  const hash = pinnedCode(run, step)
  return placementOf(
    {
      driver: step.driver,
      ...(hash === undefined ? {} : { hash }),
      kept: hash !== undefined && kept.has(hash),
      labels: pipeline?.host ?? {},
    },
    hosts,
  )
}

/** That no host takes a step up, since when, and until when it may wait for one. */
export function placeReason(
  step: PipelineStep,
  state: StepState | undefined,
  place: Exclude<Placement, { type: "free" }>,
): Reason {
  const since = queuedSince(state)
  // What a host lacks bounds the wait; a host that is full, or there is none, does not.
  const isBounded = place.type === "labels" || place.type === "driver" || place.type === "content"
  const { queueTimeoutMs } = step
  const until =
    isBounded && since !== undefined && queueTimeoutMs !== undefined
      ? isoAfter(since, queueTimeoutMs)
      : undefined
  return present({ type: "place" as const, place, since, until })
}

/** Since when a step has been written down as waiting for a driver or a host. */
export function queuedSince(state: StepState | undefined): string | undefined {
  if (state?.status !== "waiting") return undefined
  const { type } = state.waitingFor
  return type === "driver" || type === "host" ? state.since : undefined
}

/** Nothing is in the way of a step: who can start it, and where the workspace is that it would find. */
export function startingReason(
  step: PipelineStep,
  place: Placement & { readonly type: "free" },
  { run, states, hosts }: Explaining["sources"],
): Reason {
  const free = place.hosts.map(({ hostId }) => hostId)
  const before = hostBefore(step, { run, states })
  const workspace =
    before === undefined
      ? undefined
      : ({
          hostId: before,
          state: free.includes(before)
            ? "free"
            : hosts.some(({ hostId }) => hostId === before)
              ? "unable"
              : "gone",
        } as const)
  return present({ type: "starting" as const, hosts: free, workspace })
}

/** A moment that is so much later. */
export function isoAfter(at: string, ms: number): string {
  return new Date(Date.parse(at) + ms).toISOString()
}
