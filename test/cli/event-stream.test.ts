import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { followEvents, readEvents, type ServerEvent } from "../../src/cli/event-stream.ts"

async function* bytes(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk
}

async function* breaking(...chunks: readonly string[]): AsyncGenerator<Uint8Array> {
  yield* bytes(...chunks)
  throw new Error("The connection was lost")
}

async function all(events: AsyncIterable<ServerEvent>): Promise<ServerEvent[]> {
  return Array.fromAsync(events)
}

describe("an event stream", () => {
  test("yields events with their name, id and data, and skips comments", async () => {
    expect(
      await all(readEvents(bytes(": hello\n\nid: 7\nevent: step\ndata: a\ndata: b\n\ndata:c\n\n"))),
    ).toEqual([
      { id: "7", event: "step", data: "a\nb" },
      { id: "7", event: "message", data: "c" },
    ])
  })

  test("drops an event that was cut off", async () => {
    expect(await all(readEvents(bytes("data: whole\n\ndata: half\n")))).toEqual([
      { event: "message", data: "whole" },
    ])
  })

  test("is the same however it is cut into chunks", async () => {
    const text = "event: a\r\ndata: grün ✓\r\n\r\n:\n\nid: 2\rdata: {}\r\rdata: 日本\n\n"
    const content = new TextEncoder().encode(text)
    const whole = await all(readEvents(bytes(content)))
    expect(whole).toHaveLength(3)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: content.length })), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), content.length]
        const chunks = at.slice(1).map((end, index) => content.subarray(at[index], end))
        expect(await all(readEvents(bytes(...chunks)))).toEqual(whole)
      }),
    )
  })
})

describe("a followed stream", () => {
  const never = new AbortController().signal

  test("goes on after the last event seen when the connection breaks", async () => {
    const asked: (string | undefined)[] = []
    const bodies = [breaking("id: 1\ndata: a\n\nid: 2\ndata: b\n\ndata: ha"), bytes("id: 3\ndata: c\n\n")]
    const events = followEvents(
      async (lastEventId) => {
        asked.push(lastEventId)
        return bodies.shift()
      },
      { signal: never, isFinal: () => false },
    )
    expect((await all(events)).map((event) => event.data)).toEqual(["a", "b", "c"])
    expect(asked).toEqual([undefined, "2", "3"])
  })

  test("gives up at once where trying again is no use", async () => {
    let opened = 0
    const events = followEvents(
      async () => {
        opened++
        throw new Error("There is no such run")
      },
      { signal: never, isFinal: () => true },
    )
    await expect(all(events)).rejects.toThrow("There is no such run")
    expect(opened).toBe(1)
  })

  test("ends without an error when it is aborted", async () => {
    const stop = new AbortController()
    const events = followEvents(
      async () => {
        stop.abort()
        throw new Error("aborted")
      },
      { signal: stop.signal, isFinal: () => false },
    )
    expect(await all(events)).toEqual([])
  })
})
