import type { DriverResult } from "./driver.ts"
import type { ResourceEvent } from "./event.ts"
import { formatLabels, type Labels } from "./labels.ts"
import type { LogPlace } from "./log.ts"
import type { PipelineStep } from "./pipeline.ts"

/*
 * A run:
 *                      ┌──────────────► cancelled
 *   pending ──► running ──► succeeded
 *                      └──► failed
 */
export const runStatuses = ["pending", "running", "succeeded", "failed", "cancelled"] as const
export type RunStatus = (typeof runStatuses)[number]

interface RunIdentity {
  /** A UUIDv7: sorts by the time it was made. */
  readonly runId: string
  readonly event: ResourceEvent
  readonly resource: { readonly type: string; readonly name: string; readonly version: number }
  /** The pipeline revision it is pinned to; absent for a resource without a pipeline. */
  readonly pipeline?: { readonly name: string; readonly hash: string }
  /** Without a pipeline: one step for each driver that listened for the kind when the run was planned first. */
  readonly steps?: readonly PipelineStep[]
  /**
   * The content of each driver, by its name, that this run uses: those its first host had when it started, and any
   * other from its first attempt on. The run keeps them whatever is edited later.
   */
  readonly drivers?: { readonly [driver: string]: string }
  /** Where the lines of its log lie, in the order in which these places came to it. Only ever grows at the end. */
  readonly logs?: readonly LogPlace[]
  /** The run this one does again. It may be gone by now. */
  readonly rerunOf?: string
  readonly createdAt: string
  /** Someone asked for it to be cancelled; it is cancelled when no attempt runs any more. */
  readonly cancelRequestedAt?: string
}

/**
 * The header of a run. `stopping` holds the verdict of a run that has been decided and still waits for attempts to
 * end: from then on no step starts.
 */
export type Run = RunIdentity &
  (
    | { readonly status: "pending" }
    | { readonly status: "running"; readonly startedAt: string; readonly stopping?: Verdict }
    | (Verdict & { readonly startedAt?: string; readonly finishedAt: string })
  )

/** How a run ends. */
export interface Verdict {
  readonly status: "succeeded" | "failed" | "cancelled"
  readonly message: string
}

/*
 * A step of a run. One that has no record yet is `pending`, and `skipped` once the run has ended:
 *
 *   pending ──► waiting ──► running ──► succeeded
 *       └──────────────────▲  │  └───► failed ─┐ cancelled
 *                          └──┴── (next attempt) ◄┘
 */
export const stepStatuses = [
  "pending",
  "waiting",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "skipped",
] as const
export type StepStatus = (typeof stepStatuses)[number]

/** What a waiting step waits for. */
export type WaitingFor =
  /** With `hash`: for the very content the run is pinned to, which no live host has any more. */
  | { readonly type: "driver"; readonly driver: string; readonly hash?: string }
  | { readonly type: "timer"; readonly until: string }
  /** For a live host that has these labels. */
  | { readonly type: "host"; readonly labels: Labels }
  /** For somebody to say how an attempt ended that was cut off, and must not simply be done again. */
  | { readonly type: "resolution"; readonly interrupted: Attempted }

interface Attempted {
  /** Counts from 1. */
  readonly attempt: number
  /** The attempt whose work this one takes up, when that was cut off: both show the outside world the same token. */
  readonly origin?: number
  /** The driver's content that ran, or runs, this attempt. */
  readonly driverHash: string
  readonly hostId: string
  readonly startedAt: string
}

/**
 * The record of a step, written from its first transition on. `logs` says of each attempt, the first one first, in which
 * of the run's places its lines lie, by index; absent when all of them are in the first.
 */
export type StepState = { readonly logs?: readonly number[] } & StepStatusRecord

type StepStatusRecord =
  | {
      readonly status: "waiting"
      readonly waitingFor: WaitingFor
      readonly since: string
      readonly attempt: number
      /** As of an attempt. */
      readonly origin?: number
      /** What somebody said of the interrupted attempt. */
      readonly resolution?: Resolution
    }
  /** `probing`: it finds out how this cut-off attempt ended, and does nothing else. */
  | (Attempted & { readonly status: "running"; readonly probing?: Attempted })
  | (Attempted & {
      readonly status: "succeeded" | "failed" | "cancelled"
      readonly finishedAt: string
      readonly result: DriverResult
    })

/** How an attempt that was cut off ended, as somebody found out; `retry`: it had no effect and is to be done again. */
export type Resolution =
  | { readonly outcome: "succeeded" | "failed"; readonly result: DriverResult }
  | { readonly outcome: "retry" }

/** A host's hold on an attempt. It lies under the host's lease, so it goes when the host does. */
export interface Claim {
  readonly hostId: string
  readonly attempt: number
}

/** Has it ended for good? */
export function isEnded(status: RunStatus): status is Verdict["status"] {
  return status === "succeeded" || status === "failed" || status === "cancelled"
}

/** `waiting for driver "x"`, `waiting until …`: the sentence for people. */
export function describeWaiting(waitingFor: WaitingFor): string {
  switch (waitingFor.type) {
    case "driver":
      return waitingFor.hash === undefined
        ? `waiting for driver "${waitingFor.driver}"`
        : `waiting for driver "${waitingFor.driver}" as it was when the run started (${waitingFor.hash.slice(0, 12)})`
    case "host":
      return `waiting for a host with ${formatLabels(waitingFor.labels)}`
    case "resolution": {
      const { attempt, hostId } = waitingFor.interrupted
      return `outcome unknown: attempt ${attempt} was cut off on ${hostId}; resolve it`
    }
    case "timer":
      return `waiting until ${waitingFor.until}`
    default:
      waitingFor satisfies never
      return "waiting"
  }
}
