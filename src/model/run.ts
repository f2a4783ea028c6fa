import type { RunConcurrency } from "./concurrency.ts"
import type { RecordedResult } from "./driver.ts"
import type { ResourceEvent } from "./event.ts"
import type { ReadValue } from "./expression-values.ts"
import type { JsonObject } from "./json.ts"
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
   * other from its first attempt on. The run keeps them whatever is edited later, until it is held and goes on mended.
   */
  readonly drivers?: { readonly [driver: string]: string }
  /** Where the lines of its log lie, in the order in which these places came to it. Only ever grows at the end. */
  readonly logs?: readonly LogPlace[]
  /** What its drivers put off to the end of the run, in the order they asked for it. */
  readonly deferred?: readonly PipelineStep[]
  /** The run this one does again. It may be gone by now. */
  readonly rerunOf?: string
  /** The runs whose files hold large data of results that it began with. They may be gone: the files are not. */
  readonly dataFrom?: readonly string[]
  /** The run whose workspace it begins with, a copy of it, on a host that still has that. */
  readonly workspaceFrom?: string
  readonly createdAt: string
  /** Someone asked for it to be cancelled; it is cancelled when no attempt runs any more and its cleanup is over. */
  readonly cancelRequestedAt?: string
  /** What more they asked for: attempts get no grace period; nothing is cleaned up. */
  readonly cancel?: { readonly kill?: true; readonly cleanup?: false }
  /** The pipeline's `metadata`, `env` and `timeout` with their expressions evaluated, where they hold any. */
  readonly values?: RunValues
  /** How often it was held and went on, with its pipeline or a driver mended. */
  readonly mended?: number
  /** When it went on last, mended: from then on it has its `timeout` anew. */
  readonly mendedAt?: string
  /** The concurrency key it holds, or waits for; absent before it asked, and where its pipeline has none. */
  readonly concurrency?: RunConcurrency
  /** The run with the same concurrency key that it was cancelled for. */
  readonly replacedBy?: string
  /** How many attempts it has started; counted only where `maxParallel` bounds them. */
  readonly starts?: number
}

/** What a pipeline's own expressions gave when a run of it started. The run keeps it. */
export interface RunValues {
  readonly metadata?: JsonObject
  readonly env?: { readonly [name: string]: string }
  readonly timeoutMs?: number
}

/**
 * The header of a run. `stopping` holds the verdict of a run that has been decided and still waits for attempts to
 * end, or for its cleanup: from then on no step of the way starts. `held` holds that of a run that is about to fail and
 * waits for the pipeline or the driver to be mended: until it is decided, nothing starts.
 */
export type Run = RunIdentity &
  (
    | { readonly status: "pending" }
    | {
        readonly status: "running"
        readonly startedAt: string
        readonly stopping?: Verdict
        readonly held?: Held
      }
    | (Verdict & { readonly startedAt?: string; readonly finishedAt: string })
  )

/** A run that is about to fail, and waits. `known`: the driver contents that served then under the names of what failed. */
export interface Held {
  readonly verdict: Verdict
  readonly since: string
  readonly known: readonly string[]
}

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
  /** For large data of an earlier step, which no host can be asked for that has it. */
  | { readonly type: "data"; readonly stepId: string; readonly bytes: number; readonly hostId: string }
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
  /**
   * It is done again, as if it had not run: its attempts are counted on. `interrupted`: the last one was ended by its run
   * before it came to an end of its own, or nobody knows how it ended.
   */
  | { readonly status: "pending"; readonly attempt: number; readonly interrupted?: Attempted }
  /** `probing`: it finds out how this cut-off attempt ended, and does nothing else. */
  | (Attempted & { readonly status: "running"; readonly probing?: Attempted })
  | (Attempted & {
      readonly status: "succeeded" | "failed" | "cancelled"
      readonly finishedAt: string
      readonly result: RecordedResult
      /** The last number that was given, where this attempt was cut off and probes of it have numbers of their own. */
      readonly lastAttempt?: number
      /** The run whose attempt this was: this one began behind it. */
      readonly keptFrom?: string
    })
  /** It came to an end while it was not running: it could not start, or gets no further attempt. */
  | {
      readonly status: "failed" | "cancelled"
      /** The last one; 0 when there was none. */
      readonly attempt: number
      readonly finishedAt: string
      readonly result: RecordedResult
      readonly driverHash?: never
    }
  /** Its `if` was false. It may have been attempted before its run was held and mended: numbers go on. */
  | {
      readonly status: "skipped"
      readonly attempt: number
      readonly finishedAt: string
      readonly condition: Condition
    }

/** An `if`, and what it read when it was evaluated: see {@link ReadValue}. */
export interface Condition {
  readonly expression: string
  readonly values: readonly ReadValue[]
}

/** How an attempt that was cut off ended, as somebody found out; `retry`: it had no effect and is to be done again. */
export type Resolution =
  | { readonly outcome: "succeeded" | "failed"; readonly result: RecordedResult }
  | { readonly outcome: "retry" }

/** A host's hold on an attempt. It lies under the host's lease, so it goes when the host does. */
export interface Claim {
  readonly hostId: string
  readonly attempt: number
}

/** Is a step's `if` still to be asked? It is asked once before a first attempt, and again when its run was mended. */
export function isNew(state: StepState | undefined): boolean {
  return state === undefined || state.status === "pending" || state.attempt === 0
}

/** The contents of drivers that it is pinned to, by its steps and by what its drivers put off. */
export function driversOf({ drivers = {}, deferred = [] }: Run): readonly string[] {
  const ofDeferred = deferred.flatMap(({ role }) => (role?.type === "deferred" ? [role.driverHash] : []))
  return [...Object.values(drivers), ...ofDeferred]
}

/** The content of its driver that the run, or the step itself, is pinned to. */
export function pinnedCode(run: Pick<Run, "drivers">, { driver, role }: PipelineStep): string | undefined {
  return role?.type === "deferred" ? role.driverHash : pinOf(run, driver)
}

/** The content that the run is pinned to under this driver's name, which may be any name: `constructor`, too. */
export function pinOf({ drivers = {} }: Pick<Run, "drivers">, driver: string): string | undefined {
  return Object.hasOwn(drivers, driver) ? drivers[driver] : undefined
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
    case "data": {
      const { stepId, bytes, hostId } = waitingFor
      return `waiting for host ${hostId}, which has the data of step "${stepId}" (${bytes} bytes) and does not answer`
    }
    case "timer":
      return `waiting until ${waitingFor.until}`
    default:
      waitingFor satisfies never
      return "waiting"
  }
}
