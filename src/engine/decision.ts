import type { ConcurrencyRecord } from "../model/concurrency.ts"
import type { AttemptOutcome, DataRef } from "../model/driver.ts"
import type { Pipeline, PipelineStep } from "../model/pipeline.ts"
import type { Resource } from "../model/resource.ts"
import type { Claim, Run, StepState } from "../model/run.ts"
import type { CurrentPipeline } from "./current-pipelines.ts"
import type { DataState } from "./data-state.ts"

/* What `plan` decides on, and what it decides. */

/**
 * All that a decision about one run may depend on. Steps without a state are pending. What is observed may be older
 * than the store: every transition is guarded by the revisions it was planned on, so a decision made on old news
 * conflicts instead of doing harm.
 */
export interface Observed {
  readonly run: Run
  /** Its pipeline revision; absent for a run without a pipeline. */
  readonly pipeline?: Pipeline
  /** Its steps: see `stepsOfRun`. None for a run without a pipeline that was not planned yet. */
  readonly steps: readonly PipelineStep[]
  /** The version of the resource it is for; absent only where the store does not hold it. */
  readonly resource?: Resource
  /** This host's variables that expressions may read. */
  readonly env: { readonly [name: string]: string }
  /** The pipeline of its name as it is now; of account for a run that is held. */
  readonly current?: CurrentPipeline
  /** Large data of its results, as far as it was asked for. */
  dataOf(ref: DataRef): DataState | undefined
  /** What the run refers to and the store does not hold, as the message of its failure. */
  readonly missing?: string
  readonly states: ReadonlyMap<string, StepState>
  readonly claims: ReadonlyMap<string, Claim>
  /** Has the watch delivered everything up to the newest header? Then no start can be on its way to us. */
  readonly caughtUp: boolean
  /** The attempts this host is running, or has run and not written down yet, by step id. */
  readonly local: ReadonlyMap<string, LocalAttempt>
  /** Steps that are left to the host the run is on, and until when (monotonic). */
  readonly left: ReadonlyMap<string, number>
  readonly host: HostView
  /**
   * When this time after `since` is over, on this host's monotonic clock: fixed when it is first asked for, so that a
   * jump of the wall clock moves nothing, and never further away than the whole time.
   */
  dueMs(since: string, durationMs: number): number
  /** Who holds and awaits a concurrency key, as last seen. */
  concurrencyOf(key: string): ConcurrencyRecord | undefined
  /** Was this other run, which has not ended, made after this one? */
  isNewer(runId: string): boolean
}

/** An attempt on this host. `outcome` is there once the driver and all its processes have ended. */
export interface LocalAttempt {
  readonly attempt: number
  /** When its timeout is over, on the monotonic clock. */
  readonly deadlineMs: number
  /** How long it may take in all. */
  readonly timeoutMs: number
  readonly aborted?: "timeout" | "cancelled" | "shutdown" | "fenced"
  /** It was told to end without a grace period. */
  readonly killed?: true
  readonly outcome?: AttemptOutcome
}

/** What this host knows of drivers, and how much it may still take on. */
export interface HostView {
  readonly hostId: string
  /** The id of its data folder, where its attempts log. */
  readonly folder: string
  /** How many more attempts may start here now. */
  readonly slots: number
  /** The hash of the driver that serves here under this name. */
  hashOf(driver: string): string | undefined
  /** Where the code with this hash, which a run is pinned to, can be run. */
  locate(hash: string): CodePlace
  /** May this code read results of earlier steps that its input does not hold? */
  readsResults(hash: string): boolean
  /** Has this host the labels the run's pipeline asks for? And does any other live host? */
  readonly fits: boolean
  readonly othersFit: boolean
  /** The contents under which it serves on any live host. */
  servedAs(driver: string): readonly string[]
  /** Does any other live host that fits have it? */
  elsewhere(driver: string): boolean
  /** Is this other host alive, and could it start a step with this driver, of this content where one is named? */
  couldStart(hostId: string, driver: { readonly name: string; readonly hash: string | undefined }): boolean
  /** Names of the drivers, on any live host, that reconcile this kind when no pipeline is named; ordered. */
  listening(kind: string): readonly string[]
}

/**
 * `here`: this host can run it now. `store`: it may be in the store and can be brought here. `elsewhere`: another live
 * host that fits serves it. `nowhere`: none of these.
 */
export type CodePlace = "here" | "store" | "elsewhere" | "nowhere"

/** One moment on both clocks: the wall's for what is written down, the monotonic one for what is measured here. */
export interface Now {
  readonly wallMs: number
  readonly monotonicMs: number
}

/** A change of the run's records. Each is written by one guarded commit, alone or with others of the same plan. */
export type Transition =
  /**
   * `key`: who holds and awaits its concurrency key afterwards; a record that is undefined goes. `current`: the pipeline
   * it goes on along, which must still be that of its name.
   */
  | {
      readonly type: "header"
      readonly run: Run
      readonly current?: CurrentPipeline
      readonly key?: { readonly name: string; readonly record: ConcurrencyRecord | undefined }
    }
  | { readonly type: "start"; readonly stepId: string; readonly state: StepState & { status: "running" } }
  /** Ends an attempt: fenced by its claim, which goes with it. */
  | { readonly type: "settle"; readonly stepId: string; readonly state: StepState }
  | { readonly type: "wait"; readonly stepId: string; readonly state: StepState & { status: "waiting" } }
  /** Its `if` was false. */
  | { readonly type: "skip"; readonly stepId: string; readonly state: StepState & { status: "skipped" } }
  /** Forgets how these steps ended, for the run goes on from there. */
  | { readonly type: "reset"; readonly stepId: string; readonly state: StepState & { status: "pending" } }
  /** Gives the claim back without a result: the attempt was ended by this host's own doing. */
  | { readonly type: "release"; readonly stepId: string }

/** Something this host does that no record changes by. */
export type Effect =
  | { readonly type: "launch"; readonly stepId: string; readonly attempt: number }
  | {
      readonly type: "abort"
      readonly stepId: string
      readonly reason: "timeout" | "cancelled" | "fenced"
      readonly message: string
      /** Without a grace period. */
      readonly kill: boolean
    }
  /** Cancel a run that has to make room for this one. */
  | { readonly type: "replace"; readonly runId: string }
  /** Bring the code a run is pinned to here. */
  | { readonly type: "fetch"; readonly hash: string }
  /** Leave a step to the host the run is on until this moment (monotonic). */
  | { readonly type: "leave"; readonly stepId: string; readonly untilMs: number }
  /** Forget an attempt that is over and that another host or attempt has replaced. */
  | { readonly type: "discard"; readonly stepId: string }

/**
 * What to do now. `transitions` are in an order in which every prefix is valid by itself, so that a plan larger than a
 * commit can be cut anywhere and planned anew.
 */
export interface Plan {
  readonly transitions: readonly Transition[]
  readonly effects: readonly Effect[]
  /** Look again then (monotonic), also when nothing was observed in between. */
  readonly wakeAtMs: number
  /** A step could start but for the lack of a slot. */
  readonly starved: boolean
  /** The run could end but for the watch, which has not shown its newest header yet: look again when it has. */
  readonly behind: boolean
  /** Large data that something was not decided for lack of: bring it here and plan again. */
  readonly lacking: readonly DataRef[]
}
