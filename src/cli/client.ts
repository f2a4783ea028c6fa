import { ConveyorError, type ErrorCode, messageOf } from "../errors.ts"
import type { Fault } from "../model/fault.ts"
import { isJsonObject, type Json } from "../model/json.ts"
import { LogPosition } from "../model/log-position.ts"
import type { RunView, StepView } from "../model/run-view.ts"
import { followEvents } from "./event-stream.ts"

/**
 * What a run tells of itself: where it stands, again after each lost connection, then what changed. `end` is
 * the last one; ask for the run then.
 */
export type RunEvent =
  | { readonly type: "snapshot"; readonly run: RunView }
  | { readonly type: "step"; readonly step: StepView }
  | { readonly type: "run"; readonly run: Omit<RunView, "steps"> }
  | { readonly type: "end" }

/** A log line as the API streams it. */
export interface StreamedLine {
  /** Counts within the place. */
  readonly sequence: number
  /** Which of the places where the run's log lies; absent for the first. */
  readonly place?: number
  readonly step?: string
  readonly attempt?: number
  readonly driver?: string
  /** `notice`: it is no line of the log, but says which lines cannot be had. */
  readonly stream: string
  readonly message: string
  readonly timestamp: string
}

/**
 * A host's API, as the commands use it. Every call may reject with a `ConveyorError`: `SERVER_UNREACHABLE` when there
 * is no answer, else the code of the answer's status with the server's own sentence and faults.
 */
export interface Client {
  readonly url: string
  get(path: string): Promise<Json>
  /** As `get`, but a missing thing is undefined. */
  find(path: string): Promise<Json | undefined>
  post(path: string, body?: Json): Promise<Json>
  /** A run's events until its end, across lost connections. */
  runEvents(runId: string, signal: AbortSignal): AsyncGenerator<RunEvent>
  /** A run's log from its first line until the run has ended, across lost connections, each line once. */
  runLog(runId: string, signal: AbortSignal): AsyncGenerator<StreamedLine>
  /** The lines of a run's log after this position, to the last that is there now. */
  runLogAfter(runId: string, position: LogPosition): AsyncGenerator<StreamedLine>
}

/** The most lines that a host answers at once. */
const logPageMax = 1_000

/** A client of the host at `url`. Opens nothing before it is called. */
export function createClient(url: string): Client {
  const base = parseBase(url)

  async function send(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(`${base}${path}`, init).catch((cause: unknown) => {
      throw new ConveyorError("SERVER_UNREACHABLE", `${base} does not answer: ${messageOf(cause)}`, { cause })
    })
    if (!response.ok) throw await problemOf(response)
    return response
  }

  async function sendForJson(path: string, init?: RequestInit): Promise<Json> {
    const response = await send(path, init)
    try {
      return (await response.json()) as Json
    } catch (cause) {
      const why = `${base} answers, but not as a Conveyor host: ${messageOf(cause)}`
      throw new ConveyorError("SERVER_UNREACHABLE", why, { cause })
    }
  }

  function follow(path: string, signal: AbortSignal) {
    const open = async (lastEventId: string | undefined) => {
      const response = await send(path, {
        signal,
        headers: {
          accept: "text/event-stream",
          ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
        },
      })
      return response.status === 204 ? undefined : (response.body ?? undefined)
    }
    return followEvents(open, { signal, isFinal })
  }

  return {
    url: base,
    get: (path) => sendForJson(path),
    async find(path) {
      try {
        return await sendForJson(path)
      } catch (error) {
        if (error instanceof ConveyorError && error.code === "NOT_FOUND") return undefined
        throw error
      }
    },
    post: (path, body) =>
      sendForJson(path, {
        method: "POST",
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      }),
    async *runEvents(runId, signal) {
      for await (const { event, data } of follow(`/runs/${runId}/events`, signal)) {
        const seen = readRunEvent(event, JSON.parse(data))
        if (seen !== undefined) yield seen
        if (seen?.type === "end") return
      }
    },
    async *runLog(runId, signal) {
      const seen = new LogPosition()
      for await (const { event, data } of follow(`/logs/pipeline/${runId}`, signal)) {
        if (event === "end") return
        const line = JSON.parse(data) as StreamedLine
        if (line.stream === "notice" || isNew(line, seen)) yield line
      }
    },
    async *runLogAfter(runId, position) {
      const seen = new LogPosition(position)
      for (let more = true; more; ) {
        const path = `/logs?runid=${runId}&after=${seen}&limit=${logPageMax}`
        const lines = (await sendForJson(path)) as unknown as readonly StreamedLine[]
        for (const line of lines) if (isNew(line, seen)) yield line
        more = lines.length === logPageMax
      }
    },
  }
}

/** Is it behind this position, which then moves to it? */
export function isNew({ sequence, place = 0 }: StreamedLine, seen: LogPosition): boolean {
  if (typeof sequence !== "number" || sequence <= seen.of(place)) return false
  seen.advance(place, sequence)
  return true
}

function readRunEvent(event: string, data: unknown): RunEvent | undefined {
  switch (event) {
    case "snapshot":
      return { type: "snapshot", run: data as RunView }
    case "run":
      return { type: "run", run: data as Omit<RunView, "steps"> }
    case "end":
      return { type: "end" }
    case "step":
      return { type: "step", step: data as StepView }
    default:
      return undefined // What a newer host says.
  }
}

function parseBase(url: string): string {
  const full = /^https?:\/\//.test(url) ? url : `http://${url}`
  if (!URL.canParse(full)) throw new ConveyorError("USAGE", `"${url}" is not the address of a server`)
  return full.replace(/\/+$/, "")
}

const codeOfStatus: { readonly [status: number]: ErrorCode } = {
  400: "INVALID",
  404: "NOT_FOUND",
  409: "CONFLICT",
  410: "COMPACTED",
  413: "TOO_LARGE",
  422: "INVALID",
  503: "STORE_UNAVAILABLE",
}

/** The `ConveyorError` in an answer of RFC 9457. */
async function problemOf(response: Response): Promise<ConveyorError> {
  const problem: unknown = await response.json().catch(() => undefined)
  const fields = isJsonObject(problem) ? problem : {}
  const detail = fields["detail"] ?? fields["error"] ?? `the server answered ${response.status}`
  const faults = Array.isArray(fields["faults"]) ? (fields["faults"] as unknown as readonly Fault[]) : []
  return new ConveyorError(codeOfStatus[response.status] ?? "SERVER_UNREACHABLE", String(detail), { faults })
}

/** Asking again does not help where the server has understood the request and refused it. */
function isFinal(error: unknown): boolean {
  return (
    error instanceof ConveyorError &&
    error.code !== "SERVER_UNREACHABLE" &&
    error.code !== "STORE_UNAVAILABLE"
  )
}
