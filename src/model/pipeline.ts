import type { ResourceEvent } from "./event.ts"
import { canonicalJson, type Json, type JsonObject } from "./json.ts"
import type { Labels } from "./labels.ts"
import { isName } from "./name.ts"

/** The most steps a pipeline may have; cleanup steps count, too. */
export const stepsMax = 5_000
/** How long an attempt may take when its step names no `timeout`. */
export const timeoutMsDefault = 3_600_000
/** The most important pipeline, and with a minus the least important one. */
export const priorityMax = 100

/**
 * What a step does to the world, which decides about an attempt that was cut off, so that nobody knows how far it came:
 * a `pure` or `idempotent` one is done again, a `once` one waits until somebody says how it ended.
 */
export const stepEffects = ["pure", "idempotent", "once"] as const
export type StepEffects = (typeof stepEffects)[number]

/** How an attempt may end so that it is made again: its driver says that it failed, or its time is over. */
export const retryOutcomes = ["failure", "timeout"] as const
export type RetryOutcome = (typeof retryOutcomes)[number]

/**
 * What a run does that finds as many others with its concurrency key as there may be: it waits its turn, it cancels the
 * oldest and takes its place, or it ends.
 */
export const concurrencyPolicies = ["queue", "replace", "reject"] as const
export type ConcurrencyPolicy = (typeof concurrencyPolicies)[number]

export interface Retry {
  /** How many attempts in all, the first included. */
  readonly attempts: number
  /** The wait before the second attempt; doubles for each one after it, up to `maxBackoffMs`. */
  readonly backoffMs: number
  readonly maxBackoffMs?: number
  /** The part of each wait that is left to chance: 0.2 makes 10 s anything from 8 s to 10 s. */
  readonly jitter?: number
  /** Default: all of them. */
  readonly on?: readonly RetryOutcome[]
}

/**
 * What a step is for that is no step of the way itself. `ensure`: it runs when that step has ended, however it did.
 * `finally`: it runs when all steps of the way have ended. `deferred`: a driver asked for it, in an attempt of that step.
 */
export type StepRole =
  | { readonly type: "ensure"; readonly of: string }
  | { readonly type: "finally" }
  | { readonly type: "deferred"; readonly of: string; readonly driverHash: string }

/** One step with everything implied written out. */
export interface PipelineStep {
  readonly id: string
  readonly name?: string
  readonly driver: string
  /** The driver's input; strings in it may hold `${{ }}` expressions, evaluated when an attempt starts. */
  readonly with?: JsonObject
  /** The ids it waits for, always written out: a step that named none has the one above it. */
  readonly needs: readonly string[]
  /** Those of `needs` that it waits for whatever becomes of them. */
  readonly optional?: readonly string[]
  /** Decides, once all of `needs` have ended, whether it starts or is skipped: CEL, or CEL in `${{ }}`. */
  readonly if?: string
  /** Absent: it is a step of the way. */
  readonly role?: StepRole
  /** Variables for what the driver runs; values may hold `${{ }}`. */
  readonly env?: { readonly [name: string]: string }
  /** How long an attempt may take. */
  readonly timeoutMs: number
  /** Gives `timeoutMs` when an attempt starts: a text with `${{ }}`. */
  readonly timeout?: string
  /** How long it may wait for a driver or a host. Absent: for ever. */
  readonly queueTimeoutMs?: number
  readonly retry?: Retry
  /** A failure of it stops nothing, and is none for what comes after. */
  readonly continueOnError?: true
  /** Default `idempotent`. */
  readonly effects?: StepEffects
}

/**
 * A pipeline with everything implied written out: what is hashed, stored, and pinned by runs. Its steps form a graph
 * without cycles in which every `needs` is the id of a step: first those of the way, which need only each other, then
 * those with a {@link StepRole}.
 */
export interface Pipeline {
  readonly name: string
  readonly description?: string
  readonly version?: string
  readonly resource: string
  readonly on: readonly ResourceEvent[]
  /** Texts in it may hold `${{ }}`, evaluated when a run starts. */
  readonly metadata: JsonObject
  /** Variables of every step; values may hold `${{ }}`, evaluated when a run starts. */
  readonly env?: { readonly [name: string]: string }
  /** Labels a host must have to do its steps; absent: any host will do. */
  readonly host?: Labels
  /** How many steps of one run may run at the same time. */
  readonly maxParallel?: number
  /** The other branches go on when a step has failed. */
  readonly failFast?: false
  /** How long a run may take, its cleanup not counted. */
  readonly timeoutMs?: number
  /** Gives `timeoutMs` when a run starts: a text with `${{ }}`. */
  readonly timeout?: string
  /** How long a run that is about to fail waits for the pipeline or a driver to be mended. */
  readonly holdMs?: number
  readonly concurrency?: { readonly key: string; readonly limit: number; readonly policy: ConcurrencyPolicy }
  /** Default 0. What is more important goes first where runs wait for the same thing. */
  readonly priority?: number
  readonly steps: readonly PipelineStep[]
}

/** A pipeline as it stands under its name in the store. */
export interface PipelineRecord {
  readonly pipeline: Pipeline
  /** {@link canonicalPipeline} hashed: the identity a run is pinned to. */
  readonly hash: string
  /** The file that owns it, relative to the pipelines folder; absent when it came through the API. */
  readonly file?: string
  readonly createdAt: string
  readonly updatedAt: string
}

/** The text whose SHA-256 is the pipeline's hash. */
export function canonicalPipeline(pipeline: Pipeline): string {
  return canonicalJson(pipeline as unknown as Json)
}

/** Does a run of this pipeline start for this event? */
export function startsOn(pipeline: Pipeline, event: ResourceEvent): boolean {
  return pipeline.on.includes(event)
}

/** Would this be a valid id of a step? Drivers' names are, so steps of a run without a pipeline use them. */
export const isStepId = isName
