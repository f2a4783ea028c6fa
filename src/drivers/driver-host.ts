import type { AttemptResult, DriverDescription, DriverResult, DriverSchemas } from "../model/driver.ts"
import type { ResourceEvent } from "../model/event.ts"
import type { Fault } from "../model/fault.ts"
import type { JsonObject } from "../model/json.ts"
import type { UnwrittenLogLine } from "../model/log.ts"
import type { Resource } from "../model/resource.ts"

/**
 * The host side of drivers, as the engine sees it: which drivers there are, and one attempt of one of them. How a
 * driver is loaded, contained and ended is hidden behind it.
 *
 * Protocol: `start` it once; it answers `find`, `listening` and `run` from then on, and calls `onChange` listeners
 * after each change of what they answer. A hash that `find` answered stays runnable until no attempt uses it, also
 * when a newer one took its place. Dispose it after the last attempt has settled; attempts that still run are ended.
 */
export interface DriverHost extends AsyncDisposable {
  /** Loads what is in the folder and watches it. Resolves when everything there is loaded, or is a fault. */
  start(): Promise<void>
  /** The driver of this name that serves now. */
  find(name: string): DriverDescription | undefined
  /** The drivers that reconcile this kind when no pipeline is named, ordered by name. */
  listening(kind: string): readonly DriverDescription[]
  /** All drivers that serve now, ordered by name. */
  list(): readonly DriverDescription[]
  /** What is wrong in the drivers folder now. */
  faults(): readonly Fault[]
  /** What the driver with this content takes and gives; nothing for one that was not loaded here, or cannot say. */
  schemasOf(hash: string): DriverSchemas
  onChange(listener: () => void): void
  /** Can this host run this content now? So it can what serves, what served here once, and what it has adopted. */
  canRun(hash: string): boolean
  /** The code of a module this host can run; undefined for an executable, whose code does not leave its host. */
  bundleOf(hash: string): Promise<string | undefined>
  /** Makes a module's code runnable by its hash; it serves no name. Rejects when the text is not what the hash says. */
  adopt(hash: string, text: string): Promise<void>
  /**
   * Runs one attempt to its end. Never rejects: a throw, an exit, a crash, a bad result or an abort are a result with
   * `success: false` and a message that says which. It settles only when every process the attempt started is gone
   * and every line it logged was handed to `log` and acknowledged.
   */
  run(attempt: Attempt): Promise<AttemptResult>
}

/** The code of drivers in the data folder, for whoever collects what nobody needs. */
export interface KeptDrivers {
  /** Hashes of what serves no name now and runs no attempt. */
  unserved(): Promise<readonly string[]>
  /** Deletes it, unless it serves again by now: this host cannot run it any more. Answers whether it is gone. */
  forget(hash: string): Promise<boolean>
}

/** One attempt and all that its driver gets to see. */
export interface Attempt {
  readonly driver: { readonly name: string; readonly hash: string }
  readonly runId: string
  readonly runCreatedAt: string
  readonly pipelineName?: string
  readonly stepId: string
  readonly attempt: number
  /**
   * Ask the driver's probe how an earlier attempt ended, instead of reconciling. A result that is not `probed` says
   * that nobody could tell, whatever else it says.
   */
  readonly probing?: boolean
  /** See `ctx.token` in sdk.ts. */
  readonly token: string
  readonly event: ResourceEvent
  readonly resource: Resource
  readonly input: JsonObject
  readonly metadata: JsonObject
  readonly results: { readonly [stepId: string]: DriverResult }
  /** The step's variables: over the host's own in every process of the attempt, and `ctx.env` in its driver. */
  readonly env: { readonly [name: string]: string }
  /** The run's folder on this host; made when it is missing. */
  readonly workspace: string
  /**
   * Aborting ends the attempt: `ctx.signal` aborts and child processes get SIGTERM; after `graceMs` all that is left
   * is killed. The abort's reason is an {@link AttemptAbort}.
   */
  readonly signal: AbortSignal
  /** Aborting, beside or after `signal`, ends the grace period at once. */
  readonly killSignal: AbortSignal
  readonly graceMs: number
  /** Takes lines in order; resolves when they are durable. Never rejects. */
  readonly log: (lines: readonly UnwrittenLogLine[]) => Promise<void>
  /**
   * Writes down that this driver is to be run with this input at the end of the run. Resolves when that is durable,
   * and rejects with a message for the driver when it cannot be. Not called any more once the attempt was aborted;
   * the attempt settles after every call of it has.
   */
  readonly defer: (driver: string, input: JsonObject) => Promise<void>
}

/**
 * Why an attempt was ended from outside. Its message is the result's message. `graceMs` is there when what is left
 * must be killed sooner than the attempt's own grace period says.
 */
export class AttemptAbort extends Error {
  readonly reason: "timeout" | "cancelled" | "shutdown" | "fenced"
  readonly graceMs: number | undefined

  constructor(reason: AttemptAbort["reason"], message: string, options: { readonly graceMs?: number } = {}) {
    super(message)
    this.name = "AttemptAbort"
    this.reason = reason
    this.graceMs = options.graceMs
  }
}
