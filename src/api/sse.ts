/** One server-sent event. Without `event` it is a plain message. `data` is sent as JSON. */
export interface ServerSentEvent {
  readonly id?: string | number
  readonly event?: string
  readonly data: unknown
}

/** A comment goes out this often, so that proxies and clients see that the stream lives. */
const heartbeatMs = 10_000

/**
 * Answers with server-sent events: takes the next one only when the client has room for it, so a slow client holds up
 * nobody but itself. `events` gets a signal that aborts when the client has gone or `signal` aborts.
 */
export function eventStream(
  signal: AbortSignal,
  events: (signal: AbortSignal) => AsyncIterable<readonly ServerSentEvent[]>,
): Response {
  const gone = new AbortController()
  const ends = AbortSignal.any([signal, gone.signal])
  const iterator = events(ends)[Symbol.asyncIterator]()
  const encoder = new TextEncoder()
  let heartbeat: ReturnType<typeof setInterval> | undefined

  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(": conveyor\n\n"))
      heartbeat = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(":\n\n"))
      }, heartbeatMs)
    },
    async pull(controller) {
      const { value, done } = await iterator.next().catch((error: unknown) => {
        clearInterval(heartbeat)
        throw error
      })
      if (done) {
        clearInterval(heartbeat)
        if (!gone.signal.aborted) controller.close()
        return
      }
      if (value.length > 0) controller.enqueue(encoder.encode(value.map(formatEvent).join("")))
    },
    cancel() {
      clearInterval(heartbeat)
      gone.abort()
      void iterator.return?.()
    },
  })
  return new Response(body, {
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
