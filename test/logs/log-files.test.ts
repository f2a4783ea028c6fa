import { afterAll, describe, expect, test } from "bun:test"
import { appendFile, readFile, stat } from "node:fs/promises"
import { ConveyorError } from "../../src/errors.ts"
import { openLogStore } from "../../src/logs/log-files.ts"
import type { LogStore } from "../../src/logs/log-store.ts"
import { type LogLine, messageLengthMax, type UnwrittenLogLine } from "../../src/model/log.ts"
import { tempFolder } from "../rig/temp-folder.ts"

const at = "2026-01-02T03:04:05.678Z"
const line = (message: string): UnwrittenLogLine => ({
  at,
  stream: "log",
  message,
  step: "build",
  attempt: 1,
})
const never = new AbortController().signal

const folder = await tempFolder()
const logs = await openLogStore(folder.path)
afterAll(async () => {
  await logs[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function readAll(from: LogStore, runId: string, after = 0): Promise<LogLine[]> {
  return (await Array.fromAsync(from.read(runId, { after, signal: never }))).flat()
}

/** Follows a run's log into an array until `countMax` lines are there. */
async function collect(runId: string, countMax: number, after = 0): Promise<LogLine[]> {
  const lines: LogLine[] = []
  const stop = new AbortController()
  for await (const batch of logs.read(runId, { after, follow: true, signal: stop.signal })) {
    lines.push(...batch)
    if (lines.length >= countMax) stop.abort()
  }
  return lines
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

describe("appending", () => {
  test("a line is in the file when its append has resolved", async () => {
    const runId = Bun.randomUUIDv7()
    await logs.append(runId, [line("hello")])
    const [written] = (await readFile(logs.file(runId), "utf8")).trimEnd().split("\n")
    expect(JSON.parse(written as string)).toEqual({
      sequence: 1,
      at,
      runId,
      stream: "log",
      message: "hello",
      step: "build",
      attempt: 1,
    })
  })

  test("lines of concurrent appends keep the order of the calls", async () => {
    const runId = Bun.randomUUIDv7()
    await Promise.all(upTo(500).map((n) => logs.append(runId, [line(`${n}a`), line(`${n}b`)])))
    const lines = await readAll(logs, runId)
    expect(lines.map((each) => each.message)).toEqual(upTo(500).flatMap((n) => [`${n}a`, `${n}b`]))
    expect(lines.map((each) => each.sequence)).toEqual(upTo(1000))
  })

  test("many runs are written at once with few files open, and none loses its place", async () => {
    const runIds = upTo(400).map(() => Bun.randomUUIDv7())
    for (const message of ["one", "two", "three"]) {
      await Promise.all(runIds.map((runId) => logs.append(runId, [line(message)])))
    }
    for (const runId of runIds) {
      const lines = await readAll(logs, runId)
      expect(lines.map((each) => `${each.sequence} ${each.message}`)).toEqual(["1 one", "2 two", "3 three"])
    }
  })

  test("a message with line ends and any character is one line and comes back as it was", async () => {
    const runId = Bun.randomUUIDv7()
    const message = 'two\nlines\r\n\u2028 "quoted" \\ \u0000 🚚'
    await logs.append(runId, [line(message)])
    expect((await readAll(logs, runId)).map((each) => each.message)).toEqual([message])
  })

  test("a message over the limit is cut and says so", async () => {
    const runId = Bun.randomUUIDv7()
    await logs.append(runId, [line("x".repeat(messageLengthMax + 7))])
    const [cut] = await readAll(logs, runId)
    expect(cut?.message.slice(messageLengthMax)).toBe("… (7 more characters were cut)")
  })

  test("an id that is not a UUID never becomes a path", async () => {
    for (const runId of ["../../etc/passwd", "", "a\0b", "ABC"]) {
      expect(() => logs.file(runId)).toThrow(ConveyorError)
      await expect(logs.append(runId, [line("x")])).rejects.toThrow("is not the id of a run")
    }
  })

  test("a write that fails is told to who appended, and the next one finds its place again", async () => {
    await using place = await tempFolder()
    const store = await openLogStore(`${place.path}/logs`)
    const runId = Bun.randomUUIDv7()
    await Bun.$`rm -r ${place.path}/logs`.quiet()
    await expect(store.append(runId, [line("lost")])).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    await Bun.$`mkdir ${place.path}/logs`.quiet()
    await store.append(runId, [line("kept")])
    expect((await readAll(store, runId)).map((each) => each.message)).toEqual(["kept"])
    await store[Symbol.asyncDispose]()
  })

  test("a closed store has written what was appended and takes no more", async () => {
    const store = await openLogStore(folder.path)
    const runId = Bun.randomUUIDv7()
    const appended = store.append(runId, [line("last")])
    await store[Symbol.asyncDispose]()
    await appended
    await expect(store.append(runId, [line("late")])).rejects.toMatchObject({ code: "SHUTTING_DOWN" })
    expect(await readAll(logs, runId)).toHaveLength(1)
  })
})

describe("after a crash", () => {
  for (const [what, torn] of [
    ["half a line", '{"sequence":3,"at":"2026'],
    ["bytes that are no line", "\0\0\0\0\n\0\0"],
    ["half a line that is longer than a chunk", `{"sequence":3,"message":"${"x".repeat(200_000)}`],
  ] as const) {
    test(`${what} at the end is not read, and is cut off by the next append`, async () => {
      const runId = Bun.randomUUIDv7()
      const before = await openLogStore(folder.path)
      await before.append(runId, [line("one"), line("two")])
      await before[Symbol.asyncDispose]()
      await appendFile(logs.file(runId), torn)
      expect((await readAll(logs, runId)).map((each) => each.sequence)).toEqual([1, 2])

      const follower = collect(runId, 3)
      await logs.append(runId, [line("three")])
      expect((await readAll(logs, runId)).map((each) => `${each.sequence} ${each.message}`)).toEqual([
        "1 one",
        "2 two",
        "3 three",
      ])
      expect((await follower).map((each) => each.sequence)).toEqual([1, 2, 3])
    })
  }

  test("a file with nothing but a torn line begins anew", async () => {
    const runId = Bun.randomUUIDv7()
    await appendFile(logs.file(runId), '{"sequence":1,"at')
    await logs.append(runId, [line("first")])
    expect((await readAll(logs, runId)).map((each) => each.sequence)).toEqual([1])
  })

  test("sequences go on behind lines of every length", async () => {
    const runId = Bun.randomUUIDv7()
    for (const length of [1, 40_000, 65_000, 3]) {
      const store = await openLogStore(folder.path)
      await store.append(runId, [line("é".repeat(length))])
      await store[Symbol.asyncDispose]()
    }
    expect((await readAll(logs, runId)).map((each) => each.sequence)).toEqual([1, 2, 3, 4])
  })
})

describe("reading", () => {
  test("a run without a log has no lines, and following it waits for the first", async () => {
    const runId = Bun.randomUUIDv7()
    expect(await readAll(logs, runId)).toEqual([])
    const follower = collect(runId, 1)
    await logs.append(runId, [line("at last")])
    expect((await follower).map((each) => each.message)).toEqual(["at last"])
  })

  test("followers that come at any time during appends see every line once, in order", async () => {
    const runId = Bun.randomUUIDv7()
    const followers: Promise<LogLine[]>[] = []
    const appends: Promise<void>[] = []
    for (const n of upTo(1000)) {
      appends.push(logs.append(runId, [line(`${n} ${"x".repeat(n % 300)}`)]))
      if (n % 100 === 0) {
        followers.push(collect(runId, 1000))
        await appends[n - 50]
      }
    }
    for (const lines of await Promise.all(followers)) {
      expect(lines.map((each) => each.sequence)).toEqual(upTo(1000))
    }
  })

  test("reading resumes behind any sequence", async () => {
    const runId = Bun.randomUUIDv7()
    await logs.append(
      runId,
      upTo(3000).map((n) => line(`line ${n} ${"x".repeat(100)}`)),
    )
    for (const after of [0, 1, 1499, 2999, 3000, 9000]) {
      expect((await readAll(logs, runId, after)).map((each) => each.sequence)).toEqual(
        upTo(3000).slice(after),
      )
    }
  })

  test("a reader that stands still holds up no writer and is given bounded batches", async () => {
    const runId = Bun.randomUUIDv7()
    const stop = new AbortController()
    const reader = logs.read(runId, { follow: true, signal: stop.signal })[Symbol.asyncIterator]()
    await logs.append(runId, [line("first")])
    expect((await reader.next()).value).toHaveLength(1)

    await Promise.all(
      upTo(200).map(() =>
        logs.append(
          runId,
          upTo(50).map(() => line("x".repeat(100))),
        ),
      ),
    )
    expect((await stat(logs.file(runId))).size).toBeGreaterThan(1_000_000)

    let count = 1
    while (count < 10_001) {
      const batch = (await reader.next()).value as readonly LogLine[]
      expect(JSON.stringify(batch).length).toBeLessThan(100_000)
      expect(batch[0]?.sequence).toBe(count + 1)
      count += batch.length
    }
    stop.abort()
    expect((await reader.next()).done).toBe(true)
  })

  test("following says when it has read all, and ends when it is aborted and when the store closes", async () => {
    const store = await openLogStore(folder.path)
    const runId = Bun.randomUUIDv7()
    await store.append(runId, [line("one")])
    const stop = new AbortController()
    const aborted = store.read(runId, { follow: true, signal: stop.signal })[Symbol.asyncIterator]()
    const closed = store.read(runId, { follow: true, signal: never })[Symbol.asyncIterator]()
    for (const size of [1, 0]) {
      const batches = await Promise.all([aborted.next(), closed.next()])
      expect(batches.map(({ value }) => value.length)).toEqual([size, size])
    }
    const ends = Promise.all([aborted.next(), closed.next()])
    stop.abort()
    await store[Symbol.asyncDispose]()
    expect((await ends).map((end) => end.done)).toEqual([true, true])
  })
})
