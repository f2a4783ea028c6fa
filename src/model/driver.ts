import * as v from "valibot"
import { type Json, type JsonObject, jsonSchema } from "./json.ts"

/**
 * What a driver says at the end of an attempt. `data` is whatever later steps need; it reaches them as
 * `ctx.results.<step>` and as `driverresults.<driver>` in the resource's metadata.
 */
export interface DriverResult {
  readonly success: boolean
  readonly message: string
  readonly data?: Json
  /** Whoever has a {@link RecordedResult} decides what becomes of the data before it is one of these. */
  readonly dataRef?: never
}

/** A driver result as it is written down: `data` that is large lies in a file, and stands here by reference. */
export type RecordedResult =
  | DriverResult
  | {
      readonly success: boolean
      readonly message: string
      readonly data?: never
      readonly dataRef: DataRef
    }

/** The largest `data` of a driver result, in bytes of JSON, that stands in the step's record. What is larger lies in a file. */
export const inlineBytesMax = 64 * 1024

/** The largest `data` there may be. Larger things belong into the workspace. */
export const dataBytesMax = 64 * 1024 * 1024

/** Data in a file: where it lies, and what is in it. It never changes. */
export interface DataRef {
  /** Its length as JSON. */
  readonly bytes: number
  /** Of that JSON, in hex. */
  readonly sha256: string
  /** The run whose file it is: not always the one that holds the reference. */
  readonly runId: string
  /** The id of the data folder. */
  readonly folder: string
  /** The host that ran on that data folder then: for people. */
  readonly hostId: string
}

/** What an attempt's end says beside its result. */
interface AttemptEnd {
  /** It asked the driver's probe, and that could tell. */
  readonly probed?: true
  /** It failed, and the driver knows that another attempt would fail too. */
  readonly retryable?: false
}

/** How an attempt ended, as its driver says it. */
export type AttemptResult = DriverResult & AttemptEnd

/** The same, once large data is in its file. */
export type AttemptOutcome = RecordedResult & AttemptEnd

/**
 * Reads a driver's answer: nothing is success, and a missing `message` is empty. Anything else that is not a driver
 * result is refused, so that a typo (`sucess`) cannot pass for one.
 */
export const driverResultSchema = v.pipe(
  v.nullish(
    v.object({ success: v.boolean(), message: v.optional(v.string(), ""), data: v.optional(jsonSchema) }),
    {
      success: true,
    },
  ),
  v.transform(
    (result): DriverResult => ({
      success: result.success,
      message: result.message ?? "",
      ...(result.data === undefined ? {} : { data: result.data }),
    }),
  ),
)

/** A driver as the store and the API show it: what can be said of it without running it. */
export interface DriverDescription {
  readonly name: string
  /** Identity of its content: SHA-256 in hex of the bundle, or of an executable's bytes. */
  readonly hash: string
  /** The kinds it reconciles when a resource names no pipeline; `*` is every kind. */
  readonly resources: readonly string[]
  /** `module`: a bundle in a worker; `legacy`: a module with the older `Reconcile`; `executable`: a process. */
  readonly type: "module" | "legacy" | "executable"
  /** The file relative to the drivers folder; `builtin` for a driver that came inside the executable. */
  readonly source: string
}

/**
 * What a driver takes as input and gives as data, in JSON Schema of draft 7, as far as the schemas in its code can be
 * written so. For people and editors: what counts is the driver's own check.
 */
export interface DriverSchemas {
  readonly inputSchema?: JsonObject
  readonly outputSchema?: JsonObject
  /** It takes nothing from results of earlier steps but what its input holds: large ones need not be brought to it. */
  readonly readsResults?: false
}

/** The code of a driver as it is kept in the store: its text is in that many parts, in order. */
export interface DriverBundle {
  readonly hash: string
  readonly parts: number
  readonly createdAt: string
}

/** Does a driver that listens for these kinds listen for this one? */
export function listensFor(resources: readonly string[], kind: string): boolean {
  return resources.includes(kind) || resources.includes("*")
}
