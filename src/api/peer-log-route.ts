import { ConveyorError } from "../errors.ts"
import type { LogLine } from "../model/log.ts"
import { invalidQuery, runIdParameter } from "./request.ts"
import type { ApiContext, Call, Route } from "./route.ts"
import { streamOf } from "./streamed.ts"

/** So often a host says that it lives to one that follows a log of it. */
const heartbeatMs = 1_000

/** For other hosts: the lines that lie here, and nothing from anywhere else, so that no request goes in circles. */
export function peerLogRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/logs/local/:runid",
      summary: "For other hosts: the lines of a run that lie on this one",
      query: {
        folder: "The id of the data folder that is meant; 409 when this host runs on another one",
        after: "The sequence of the last line that is not wanted",
        follow: '"true": go on with what comes',
      },
      responses: {
        200: {
          type: "text",
          description: "A line of JSON for each log line, and `null` whenever that is all there is",
        },
      },
      async handle(call) {
        const runId = runIdParameter(call.params["runid"])
        if (call.query.get("folder") !== context.folder)
          throw new ConveyorError("CONFLICT", `This host runs on the data folder ${context.folder}`)
        const after = afterOf(call)
        const follow = call.query.get("follow") === "true"
        call.keepOpen()
        return new Response(
          streamOf(context.signal, {
            heartbeat: { text: "\n", ms: heartbeatMs },
            chunks: (signal) => textOf(context.logs.read(runId, { after, follow, signal }), signal),
          }),
          { headers: { "content-type": "application/x-ndjson; charset=utf-8" } },
        )
      },
    },
  ]
}

async function* textOf(batches: AsyncIterable<readonly LogLine[]>, signal: AbortSignal) {
  for await (const batch of batches) {
    yield batch.length === 0 ? "null\n" : `${batch.map((line) => JSON.stringify(line)).join("\n")}\n`
  }
  if (!signal.aborted) yield "null\n"
}

function afterOf({ query }: Call): number {
  const text = query.get("after") ?? "0"
  if (!/^\d{1,15}$/.test(text)) throw invalidQuery("after", "Expected the sequence of a line")
  return Number(text)
}
