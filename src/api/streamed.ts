export interface StreamedText {
  /** What is sent; an empty text is nothing. Gets a signal that aborts when the client has gone or the API stops. */
  readonly chunks: (signal: AbortSignal) => AsyncIterable<string>
  /** Sent at once, and then this often while the client has room for it, so that it sees that the stream lives. */
  readonly heartbeat: { readonly text: string; readonly ms: number }
}

/**
 * A body that is sent piece by piece: the next piece is taken only when the client has room for it, so a slow client holds
 * up nobody but itself. It ends early when `signal` aborts.
 */
export function streamOf(
  signal: AbortSignal,
  { chunks, heartbeat }: StreamedText,
): ReadableStream<Uint8Array> {
  const gone = new AbortController()
  const iterator = chunks(AbortSignal.any([signal, gone.signal]))[Symbol.asyncIterator]()
  const encoder = new TextEncoder()
  let timer: ReturnType<typeof setInterval> | undefined

  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(heartbeat.text))
      timer = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(heartbeat.text))
      }, heartbeat.ms)
    },
    async pull(controller) {
      // A pull that adds nothing is not asked again until somebody else adds something.
      for (;;) {
        const { value, done } = await iterator.next().catch((error: unknown) => {
          clearInterval(timer)
          throw error
        })
        if (done) {
          clearInterval(timer)
          if (!gone.signal.aborted) controller.close()
          return
        }
        if (gone.signal.aborted) return
        if (value === "") continue
        controller.enqueue(encoder.encode(value))
        return
      }
    },
    cancel() {
      clearInterval(timer)
      gone.abort()
      void iterator.return?.()
    },
  })
}
