import * as v from "valibot"
import type { UnwrittenLogLine } from "../model/log.ts"
import { LogPosition } from "../model/log-position.ts"
import { nameSchema } from "../model/name.ts"
import { isUuid } from "../model/uuid.ts"
import { comeTo } from "./log-places.ts"
import { findLines } from "./log-search.ts"
import { logEvents } from "./log-stream.ts"
import { lineView } from "./log-view.ts"
import { pageOf, pageResponse } from "./paging.ts"
import { invalidQuery, nameParameter, readBody, runIdParameter } from "./request.ts"
import type { ApiContext, Call, Route } from "./route.ts"
import { openRun } from "./runs.ts"
import { events, json, listOf, logLineShape, pageQuery } from "./shapes.ts"
import { eventStream } from "./sse.ts"

const logSourceSchema = v.object({
  runid: v.pipe(v.string(), v.check(isUuid, "Expected the id of a run: a UUID in lower case")),
  driver: v.nullish(v.union([nameSchema, v.literal("")])),
  pipeline: v.nullish(v.string()),
  timestamp: v.nullish(v.union([v.string(), v.number()])),
  message: v.string(),
})
type LogSource = v.InferOutput<typeof logSourceSchema>

/** Says, in an answer that lacks lines, where these are and why they cannot be had. */
export const missingHeader = "Conveyor-Missing-Logs"

/** Logs: append, read, follow. */
export function logRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "POST",
      path: "/logs",
      summary: "Append to a run's log; it is durable when this answers",
      body: logSourceSchema,
      responses: { 201: json(v.object({ message: v.string() }), "It is in the log") },
      async handle({ request }) {
        const source = await readBody(request, logSourceSchema)
        await comeTo(context, source.runid)
        await context.logs.append(source.runid, linesOf(source, context.now()))
        return Response.json({ message: "Log created successfully" }, { status: 201 })
      },
    },
    {
      method: "GET",
      path: "/logs",
      summary:
        "Read log lines: of one run, or of all runs of a pipeline or driver, oldest first, from all hosts; the header Conveyor-Missing-Logs says which are missing",
      query: {
        ...pageQuery,
        runid: "Only those of this run",
        driver: "Only those of this driver",
        pipeline: "Only those of runs of this pipeline",
      },
      responses: { 200: json(listOf(logLineShape), "A page of them") },
      async handle(call) {
        const runId = call.query.get("runid") || undefined
        if (runId !== undefined && !isUuid(runId))
          throw invalidQuery("runid", "Expected a UUID in lower case")
        const { lines, next, missing } = await findLines(context, {
          page: pageOf(call.query),
          runId,
          driver: call.query.get("driver") || undefined,
          pipeline: call.query.get("pipeline") || undefined,
          signal: call.request.signal,
        })
        const items = lines.map(([placed, run]) => lineView(placed, run))
        const response = pageResponse(call, items, next)
        if (missing.length > 0) response.headers.set(missingHeader, missing.join("; "))
        return response
      },
    },
    {
      method: "GET",
      path: "/logs/streams/:driver/:runid",
      summary: "Follow what one driver logs in a run",
      responses: { 200: events("A message for each line, then `end` with the run's status") },
      handle: (call) => follow(call, nameParameter(call.params["driver"], "driver")),
    },
    {
      method: "GET",
      path: "/logs/pipeline/:runid",
      summary: "Follow the log of a run",
      responses: { 200: events("A message for each line, then `end` with the run's status") },
      handle: (call) => follow(call),
    },
  ]

  async function follow(call: Call, driver?: string): Promise<Response> {
    const runId = runIdParameter(call.params["runid"])
    const position = lastEventId(call)
    const observed = await openRun(context, runId)
    call.keepOpen()
    return eventStream(context.signal, (signal) => logEvents(context, { observed, position, driver, signal }))
  }
}

/** One line for each line of the message. A timestamp that is none is replaced by the time it came. */
function linesOf({ driver, timestamp, message }: LogSource, now: Date): readonly UnwrittenLogLine[] {
  const given = new Date(timestamp ?? Number.NaN)
  const at = (Number.isNaN(given.getTime()) ? now : given).toISOString()
  return message
    .replace(/\r?\n$/, "")
    .split(/\r?\n/)
    .map((text) => ({ at, ...(driver ? { driver } : {}), stream: "api", message: text }))
}

/** Where to go on: the header a browser sends when it connects again, or the same in the query. */
function lastEventId(call: Call): LogPosition {
  const text = call.request.headers.get("last-event-id") ?? call.query.get("lastEventId") ?? ""
  const position = text === "" ? new LogPosition() : LogPosition.parse(text)
  if (position !== undefined) return position
  throw invalidQuery("lastEventId", "Expected the id of an event of this stream, or the sequence of a line")
}
