/**
 * What `import { defineDriver } from "conveyor"` gives a driver. This file stands alone: the host writes it beside
 * people's drivers, so that editors and type checkers find it.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** What a driver says at the end of an attempt. Returning nothing means `{ success: true }`. */
export interface DriverResult<Data = Json> {
  readonly success: boolean
  readonly message?: string
  /** Reaches later steps as `ctx.results.<step>.data`. */
  readonly data?: Data
  /** `false` where another attempt would fail too: then the step's `retry` is not tried. Default true. */
  readonly retryable?: boolean
}

/** Throw it where another attempt would fail too: then the step's `retry` is not tried. */
export class NotRetryable extends Error {
  override readonly name: string = "NotRetryable"
  readonly retryable = false
}

/** Any Standard Schema (valibot, zod, arktype, …). */
export interface StandardSchema<Input, Output> {
  readonly "~standard": {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export interface Resource {
  readonly id: string
  readonly name: string
  /** Its kind: the name of its resource definition. */
  readonly resource: string
  readonly pipeline?: string
  readonly version: number
  /** Its own metadata, over the pipeline's, with the results of earlier steps as `driverresults`. */
  readonly metadata: { readonly [key: string]: Json }
  readonly spec: Json
}

export interface ExecOptions {
  /** Relative to the workspace. Default: the workspace. */
  readonly cwd?: string
  /** Over the host's environment and the step's `env`; undefined takes a variable out. */
  readonly env?: { readonly [name: string]: string | undefined }
  /** Written to the command's standard input, which is closed then. */
  readonly stdin?: string
  /** Keep what it prints out of the log (it is still in the result). Default false. */
  readonly quiet?: boolean
  /** Answer a non-zero exit code instead of throwing. Default false. */
  readonly allowFailure?: boolean
}

export interface ExecResult {
  /** 128 + n when signal n ended it, as in a shell. */
  readonly exitCode: number
  /** The last 1 MiB of what it printed. */
  readonly stdout: string
  readonly stderr: string
}

export interface DriverContext<Input = unknown> {
  readonly resource: Resource
  readonly event: "create" | "update" | "delete"
  /** The step's `with`, checked by the driver's `input`. */
  readonly input: Input
  /** The pipeline's metadata, the same for all its steps. */
  readonly metadata: { readonly [key: string]: Json }
  /** Results of the steps this one comes after, by step id. */
  readonly results: { readonly [stepId: string]: DriverResult }
  /** The step's `env`. Commands of `exec` have it in their environment. */
  readonly env: { readonly [name: string]: string }
  readonly run: { readonly id: string; readonly pipeline?: string; readonly createdAt: string }
  readonly step: { readonly id: string; readonly driver: string }
  /** Counts from 1. */
  readonly attempt: number
  /**
   * Names this attempt's effects to the outside world: give it to services that fence or dedupe. Unique, but for an
   * attempt that takes up the work of one that was cut off: that has the same token.
   */
  readonly token: string
  /** An absolute path: the folder all steps of this run on this host share. */
  readonly workspace: string
  /** Aborts when the attempt must end (timeout, cancel, the host's stop). Children are ended for you. */
  readonly signal: AbortSignal
  /** Writes one line per line of text. The promise is for those who must know that it is on disk. */
  log(message: string): Promise<void>
  /**
   * Runs a command in its own process group, its output going to the log line by line. Throws when it cannot start
   * or its exit code is not 0. None of its processes outlives the attempt.
   */
  exec(command: readonly [string, ...string[]], options?: ExecOptions): Promise<ExecResult>
  /**
   * Leaves work for the end of the run: this driver with this input, on the code the run is pinned to. It is done
   * whatever happens (success, failure, timeout, cancel, a crash of the host), the last one that was deferred first.
   *
   * Call it, and await it, *before* you make what it undoes: when the promise has resolved, it is written down. So it
   * may be run when the thing was never made, and must do no harm then. Rejects when it could not be written
   * down, and after the attempt has ended or was aborted.
   */
  defer(driver: string, input?: { readonly [key: string]: Json }): Promise<void>
}

export interface Driver<Input = unknown, Data = Json> {
  /** Default: the file's name without its ending. */
  readonly name?: string
  /** The kinds it reconciles when a resource names no pipeline; `*` is every kind. Default: none. */
  readonly resources?: readonly string[]
  /** Checks and types the step's `with`. What does not pass fails the attempt, and is not tried again. */
  readonly input?: StandardSchema<unknown, Input>
  /**
   * Checks and types the `data` of a success; later steps get what it makes of it. What does not pass fails the attempt,
   * and is not tried again.
   */
  readonly output?: StandardSchema<Data, unknown>
  /**
   * `false`: it takes nothing from results of earlier steps but what its input holds. Then data over 64 KiB is left out of
   * `ctx.results` and of `driverresults`, and its steps do not wait for a host that has such data and is gone. Default: true.
   */
  readonly readsResults?: boolean
  /**
   * Finds out how an earlier attempt ended that was cut off, in a step with `effects: once`: the payment went through,
   * or it did not. `ctx.token` is that attempt's. Return nothing when you cannot tell; then somebody is asked.
   */
  probe?(ctx: DriverContext<Input>): Answer<Data> | undefined | Promise<Answer<Data> | undefined>
  reconcile(
    ctx: DriverContext<Input>,
    // biome-ignore lint/suspicious/noConfusingVoidType: a driver without a return statement returns void
  ): Answer<Data> | undefined | void | Promise<Answer<Data> | undefined | void>
}

/** A failure's `data` is whatever there is to say. */
type Answer<Data> = DriverResult<NoInfer<Data>> | (DriverResult & { readonly success: false })

/** Says that this is a driver, and types it. Returns what it is given. */
export function defineDriver<Input = unknown, Data = Json>(driver: Driver<Input, Data>): Driver<Input, Data> {
  return driver
}
