import { streamOf } from "./streamed.ts"

/** One server-sent event. Without `event` it is a plain message. `data` is sent as JSON. */
export interface ServerSentEvent {
  readonly id?: string | number
  readonly event?: string
  readonly data: unknown
}

/** A comment goes out this often, so that proxies and clients see that the stream lives. */
const heartbeat = { text: ": conveyor\n\n", ms: 10_000 }

/** Answers with server-sent events, as {@link streamOf} sends them. */
export function eventStream(
  signal: AbortSignal,
  events: (signal: AbortSignal) => AsyncIterable<readonly ServerSentEvent[]>,
): Response {
  async function* chunks(ends: AbortSignal) {
    for await (const batch of events(ends)) yield batch.map(formatEvent).join("")
  }
  return new Response(streamOf(signal, { chunks, heartbeat }), {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    },
  })
}

function formatEvent({ id, event, data }: ServerSentEvent): string {
  const head = `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}`
  return `${head}data: ${JSON.stringify(data)}\n\n`
}
