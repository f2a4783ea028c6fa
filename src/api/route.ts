import type { Server } from "bun"
import type * as v from "valibot"
import type { LogStore } from "../logs/log-store.ts"
import type { Pipeline } from "../model/pipeline.ts"
import type { RunningProcess } from "../model/running-process.ts"
import type { ResultFiles } from "../results/result-files.ts"
import type { ResultStore } from "../results/result-store.ts"
import type { Store } from "../store/store.ts"
import type { PeerLogs } from "./peer-logs.ts"
import type { RunFeed } from "./run-feed.ts"

/** Looks up what runs on this machine now of a run, and tells it by attempt; undefined where that cannot be told. */
export type ProcessesOf = (
  runId: string,
) =>
  | ((attempt: { readonly stepId: string; readonly attempt: number }) => readonly RunningProcess[])
  | undefined

/** What every route works with. */
export interface ApiContext {
  readonly store: Store
  readonly logs: LogStore
  readonly feed: RunFeed
  /** A pipeline revision by its hash. */
  readonly pipelineRevision: (hash: string) => Promise<Pipeline | undefined>
  readonly hostId: string
  /** The id of this host's data folder, where {@link logs} lie. */
  readonly folder: string
  /** Logs in the data folders of other hosts. */
  readonly peers: PeerLogs
  /** Large data of results: here, and wherever it lies. */
  readonly results: ResultFiles
  readonly allResults: ResultStore
  readonly version: string
  /** The host's variables that expressions may read. */
  readonly env: { readonly [name: string]: string }
  readonly processesOf: ProcessesOf
  /** How long a dead host keeps its claims. */
  readonly leaseTtlMs: number
  readonly now: () => Date
  /** Aborts when the API stops: whoever waits or streams ends. */
  readonly signal: AbortSignal
}

/** One request on its way through a route. */
export interface Call {
  readonly request: Request
  /** The path as it was asked for, without the query. */
  readonly path: string
  /** Parameters of the path, decoded and not checked. */
  readonly params: Readonly<Record<string, string | undefined>>
  readonly query: URLSearchParams
  /** Keeps the connection open however long nothing is sent. */
  keepOpen(): void
}

/** One route: what it answers, and what the OpenAPI document says of it. */
export interface Route {
  /** `GET` stands for `HEAD` too. */
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** With `:name` for parameters. A trailing slash is accepted too. */
  readonly path: string
  readonly summary: string
  readonly query?: Readonly<Record<string, string>>
  /** Headers that change what it does. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: v.GenericSchema
  /** May the body be left out? */
  readonly bodyOptional?: boolean
  /** The schema of each status's body; undefined for none. Problems are added to every route. */
  readonly responses: Readonly<Record<number, ResponseShape>>
  handle(call: Call): Response | Promise<Response>
}

/** A JSON body, server-sent events, text, or nothing. */
export type ResponseShape =
  | { readonly type: "json"; readonly schema: v.GenericSchema; readonly description: string }
  | { readonly type: "events" | "text" | "html" | "nothing"; readonly description: string }

/** The part of Bun's server a call needs. */
export type ApiServer = Pick<Server<unknown>, "timeout">
