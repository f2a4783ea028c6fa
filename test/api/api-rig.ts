import { join } from "node:path"
import { type ApiOptions, serveApi } from "../../src/api/api.ts"
import { openLogStore } from "../../src/logs/log-files.ts"
import type { LogStore } from "../../src/logs/log-store.ts"
import type { RecordedResult } from "../../src/model/driver.ts"
import type { Json } from "../../src/model/json.ts"
import type { Run, StepState, Verdict } from "../../src/model/run.ts"
import { ResultFiles } from "../../src/results/result-files.ts"
import { activeRunKey, runKey, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store, Write } from "../../src/store/store.ts"
import { tempFolder } from "../rig/temp-folder.ts"

/** What a parser of JSON gives: tests look into bodies of every shape. */
type ParsedJson = ReturnType<typeof JSON.parse>

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: ParsedJson
}

/** An API over HTTP on an empty store and log store, and the engine's part to play by hand. */
export interface ApiRig extends AsyncDisposable {
  readonly url: string
  readonly store: Store
  readonly logs: LogStore
  readonly results: ResultFiles
  /** Everything the API reported as a bug or a broken watch. */
  readonly errors: unknown[]
  send(method: string, path: string, body?: Json, headers?: Readonly<Record<string, string>>): Promise<Answer>
  stop(): Promise<void>
  /** Writes a record as the engine does. */
  put(key: string, value: unknown): Promise<void>
  readRun(runId: string): Promise<Run>
  startRun(runId: string): Promise<void>
  /** Ends one step as the engine does. */
  endStep(runId: string, stepId: string, result: RecordedResult): Promise<void>
  endRun(runId: string, verdict?: Verdict): Promise<void>
}

const at = "2026-01-02T03:04:05.000Z"

export async function apiRig(options: Partial<ApiOptions> = {}): Promise<ApiRig> {
  const folder = await tempFolder()
  const store = options.store ?? (await openSqlite(":memory:"))
  const logs = await openLogStore(folder.path)
  const errors: unknown[] = []
  const results = new ResultFiles({
    path: join(folder.path, "results"),
    folder: options.folder ?? "folder-1",
    hostId: options.hostId ?? "host-1",
  })
  const api = await serveApi({
    host: "127.0.0.1",
    port: 0,
    hostId: "host-1",
    folder: "folder-1",
    version: "1.2.3",
    env: {},
    leaseTtlMs: 10_000,
    onError: (error) => errors.push(error),
    ...options,
    store,
    logs,
    results,
  })

  async function write(writes: readonly Write[]): Promise<void> {
    if ((await store.commit([], writes)) === undefined) throw new Error("The commit must not conflict")
  }
  async function readRun(runId: string): Promise<Run> {
    const entry = await store.get(runKey(runId))
    if (entry === undefined) throw new Error(`There must be a run ${runId}`)
    return JSON.parse(entry.value)
  }
  const putOf = (key: string, value: unknown): Write => ({ type: "put", key, value: JSON.stringify(value) })

  return {
    url: api.url,
    store,
    logs,
    results,
    errors,
    readRun,
    stop: api.stop,
    send: (method, path, body, headers) => send(api.url + path, { method, body, headers }),
    put: (key, value) => write([putOf(key, value)]),
    async startRun(runId) {
      await write([putOf(runKey(runId), { ...(await readRun(runId)), status: "running", startedAt: at })])
    },
    async endStep(runId, stepId, result) {
      const status = result.success ? "succeeded" : "failed"
      const state: StepState = {
        status,
        attempt: 1,
        driverHash: "h",
        hostId: "host-1",
        startedAt: at,
        finishedAt: at,
        result,
      }
      await write([putOf(stepKey(runId, stepId), state)])
    },
    async endRun(runId, verdict = { status: "succeeded", message: "" }) {
      await write([
        putOf(runKey(runId), { ...(await readRun(runId)), startedAt: at, ...verdict, finishedAt: at }),
        { type: "delete", key: activeRunKey(runId) },
      ])
    },
    async [Symbol.asyncDispose]() {
      await api.stop()
      await logs[Symbol.asyncDispose]()
      if (options.store === undefined) await store[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function send(
  url: string,
  {
    method,
    body,
    headers = {},
  }: { method: string; body: Json | undefined; headers: Readonly<Record<string, string>> | undefined },
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    ...(body === undefined
      ? { headers }
      : { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } }),
  })
  const text = await response.text()
  const isJson = response.headers.get("content-type")?.includes("json") ?? false
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
}

export interface SentEvent {
  readonly event: string
  readonly id?: string
  readonly data: ParsedJson
}

/** Reads server-sent events one by one; ends when the server closes the stream or the caller stops. */
export async function* sentEvents(
  url: string,
  headers: Record<string, string> = {},
): AsyncGenerator<SentEvent> {
  const stop = new AbortController()
  const response = await fetch(url, { headers, signal: stop.signal })
  if (response.status !== 200 || response.body === null) throw new Error(`${url} answered ${response.status}`)
  const decoder = new TextDecoder()
  let text = ""
  try {
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true })
      const blocks = text.split("\n\n")
      text = blocks.pop() ?? ""
      for (const block of blocks) {
        const fields = new Map(
          block.split("\n").map((line) => {
            const colon = line.indexOf(":")
            return [line.slice(0, colon), line.slice(colon + 1).trimStart()] as const
          }),
        )
        const data = fields.get("data")
        const id = fields.get("id")
        if (data === undefined) continue
        yield {
          event: fields.get("event") ?? "message",
          ...(id === undefined ? {} : { id }),
          data: JSON.parse(data),
        }
      }
    }
  } finally {
    stop.abort()
  }
}

/** The definition `app` and the pipeline `release` with the steps `clone` and `build`. */
export async function withRelease(rig: ApiRig, pipeline: Record<string, Json> = {}): Promise<void> {
  await rig.send("POST", "/resource-definitions", { name: "app", schema: { type: "object" } })
  const answer = await rig.send("POST", "/pipelines", { ...releasePipeline, ...pipeline })
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
}

export const releasePipeline = {
  name: "release",
  resource: "app",
  metadata: { registry: "local" },
  steps: [
    { id: "clone", driver: "git" },
    { id: "build", driver: "shell", with: { run: "make" } },
  ],
}
