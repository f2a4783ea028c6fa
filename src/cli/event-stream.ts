/** One server-sent event. */
export interface ServerEvent {
  /** What to send as `Last-Event-ID` to go on after it; absent when the server numbers nothing. */
  readonly id?: string
  /** `message` when the server names none. */
  readonly event: string
  readonly data: string
}

/** The longest event read, in characters; a server that sends more is not one of ours. */
const eventLengthMax = 64 * 1024 * 1024

/**
 * The events of a `text/event-stream` body, in order. Comments and unknown fields are skipped, an event that was cut
 * off by the end is dropped, as the HTML standard has it. Rejects when the body does.
 */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  const event = eventBuilder()
  let rest = ""
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    if (rest.length > eventLengthMax) throw new Error("An event is longer than any that Conveyor sends")
    // A "\r" at the end may be half of a "\r\n": it waits for what comes next.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ""
    for (const line of lines) {
      const complete = event.line(line)
      if (complete !== undefined) yield complete
    }
  }
}

function eventBuilder() {
  let id: string | undefined
  let name = ""
  let data: string[] = []
  return {
    /** Takes one line; answers the event that it completes. */
    line(text: string): ServerEvent | undefined {
      if (text === "") {
        const complete = {
          ...(id === undefined ? {} : { id }),
          event: name || "message",
          data: data.join("\n"),
        }
        const isEvent = data.length > 0
        name = ""
        data = []
        return isEvent ? complete : undefined
      }
      const colon = text.indexOf(":")
      const field = colon < 0 ? text : text.slice(0, colon)
      const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "")
      if (field === "id" && !value.includes("\0")) id = value
      else if (field === "event") name = value
      else if (field === "data") data.push(value)
      return undefined
    },
  }
}

/** How often a stream that broke is taken up again without one event in between, and the pause before the n-th. */
const retriesMax = 10
const pauseMs = (retry: number) => Math.min(100 * 2 ** retry, 5_000)

/**
 * Events of a stream that may break: it is opened again after the last event seen. It ends when the caller stops
 * reading, when `signal` aborts, or when the server answers 204; it rejects with what `open` rejects with once the
 * retries are used up, and at once when `isFinal` says that trying again is no use.
 */
export async function* followEvents(
  open: (lastEventId: string | undefined) => Promise<AsyncIterable<Uint8Array> | undefined>,
  options: { readonly signal: AbortSignal; readonly isFinal: (error: unknown) => boolean },
): AsyncGenerator<ServerEvent> {
  let lastEventId: string | undefined
  let retry = 0
  while (!options.signal.aborted) {
    try {
      const body = await open(lastEventId)
      if (body === undefined) return
      for await (const event of readEvents(body)) {
        retry = 0
        lastEventId = event.id ?? lastEventId
        yield event
      }
    } catch (error) {
      if (options.signal.aborted) return
      if (options.isFinal(error) || retry >= retriesMax) throw error
    }
    await pause(pauseMs(retry++), options.signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener("abort", done, { once: true })
    function done() {
      clearTimeout(timer)
      signal.removeEventListener("abort", done)
      resolve()
    }
  })
}
