import type { AttemptResult, DriverSchemas } from "../model/driver.ts"
import type { JsonObject } from "../model/json.ts"
import type { Attempt } from "./driver-host.ts"
import type { ExecOptions } from "./sdk.ts"

/*
 * What the host and a worker say to each other. A worker has one driver loaded and runs one attempt at a time, so
 * that whatever goes wrong in it belongs to exactly one attempt:
 *
 *   host                                   worker
 *    │── load ─────────────────────────────►│
 *    │◄──────────────── loaded │ refused ───│
 *    │── describe ─────────────────────────►│   of one worker for each content
 *    │◄──────────────────── described ──────│
 *    │── attempt ──────────────────────────►│
 *    │◄──────────────────── log, exec, … ───│   any number
 *    │── logged, exec-ended, abort, … ─────►│
 *    │◄──────────────────────── ended ──────│   or `fault`, or the thread is gone
 *
 * Messages travel as JSON text: a string crosses threads in half the time a structured clone takes. Only the first is
 * none: the LogRoom that both share.
 * `serial` numbers the attempts of one worker: what comes late from an earlier one is told apart and dropped.
 */

/** The part of an attempt that reaches the driver. */
export type AttemptContext = Pick<
  Attempt,
  "resource" | "event" | "input" | "metadata" | "results" | "env" | "attempt" | "token" | "workspace"
> & {
  readonly run: { readonly id: string; readonly pipeline?: string; readonly createdAt: string }
  readonly step: { readonly id: string; readonly driver: string }
  readonly probing?: true
}

/** What a module says of itself when it is loaded. */
export interface LoadedDriver {
  /** Absent when the module names none: then the file's name counts. */
  readonly name?: string
  readonly resources: readonly string[]
  readonly type: "module" | "legacy"
}

/** How a command of `ctx.exec` ended: with an exit code, or it was never started. */
export type ExecAnswer =
  | { readonly type: "exited"; readonly exitCode: number; readonly stdout: string; readonly stderr: string }
  | { readonly type: "refused"; readonly message: string }

/** What became of a `ctx.defer`. */
export type DeferAnswer = { readonly type: "kept" } | { readonly type: "refused"; readonly message: string }

export type ToWorker =
  | {
      readonly type: "load"
      readonly file: string
      /** What children of the driver's own carry in their environment. */
      readonly marks: Readonly<Record<string, string>>
      readonly heapBytesMax: number
    }
  | { readonly type: "describe" }
  | { readonly type: "attempt"; readonly serial: number; readonly context: AttemptContext }
  | { readonly type: "abort"; readonly serial: number; readonly message: string }
  /** The first `count` log messages of the attempt are durable. */
  | { readonly type: "logged"; readonly serial: number; readonly count: number }
  | { readonly type: "exec-ended"; readonly serial: number; readonly id: number; readonly answer: ExecAnswer }
  | { readonly type: "deferred"; readonly serial: number; readonly id: number; readonly answer: DeferAnswer }

export type FromWorker =
  | { readonly type: "loaded"; readonly driver: LoadedDriver }
  | { readonly type: "refused"; readonly message: string }
  | { readonly type: "described"; readonly schemas: DriverSchemas }
  /** The abort was heard. */
  | { readonly type: "aborting"; readonly serial: number }
  | { readonly type: "log"; readonly serial: number; readonly message: string }
  | {
      readonly type: "exec"
      readonly serial: number
      readonly id: number
      readonly command: readonly string[]
      readonly options: ExecOptions
    }
  | {
      readonly type: "defer"
      readonly serial: number
      readonly id: number
      readonly driver: string
      readonly input: JsonObject
    }
  | {
      readonly type: "ended"
      readonly serial: number
      readonly result: AttemptResult
      /** What its heap holds, when that is over the limit. */
      readonly heapBytes?: number
      /** Processes that the driver has started by itself are left. */
      readonly children?: true
    }
  /** The heap holds more than it may, while the attempt runs. */
  | { readonly type: "heap"; readonly serial: number; readonly bytes: number }
  /** Something nobody caught. The thread is not to be trusted any more. `serial`: the attempt that began it, where known. */
  | { readonly type: "fault"; readonly serial?: number; readonly message: string; readonly trace: string }
