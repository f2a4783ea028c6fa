import { afterAll, describe, expect, test } from "bun:test"
import { apiRig, type SentEvent, sentEvents, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)

const at = "2026-01-02T03:04:05.678Z"
let count = 0
async function newRun(source: { readonly pipeline?: string } = { pipeline: "release" }): Promise<string> {
  return (await rig.send("POST", "/resources", { name: `web-${++count}`, resource: "app", ...source })).body
    .runid
}
const append = (runId: string, driver: string, ...messages: string[]) =>
  rig.logs.append(
    runId,
    messages.map((message) => ({ at, stream: "log", step: "build", attempt: 1, driver, message })),
  )
const messages = (events: readonly SentEvent[]) =>
  events.flatMap(({ event, data }) => (event === "message" ? [data.message] : []))
const upTo = (n: number) => Array.from({ length: n }, (_, index) => `${index + 1}`)

describe("posting a log line", () => {
  test("appends it, one for each line of the message", async () => {
    const runid = await newRun()
    const older = { runid, driver: "old", pipeline: "release", timestamp: at, message: "one\ntwo\n", id: 7 }
    expect((await rig.send("POST", "/logs/", older)).status).toBe(201)
    await rig.send("POST", "/logs", { runid, message: "three", timestamp: "yesterday" })
    const { body } = await rig.send("GET", `/logs?runid=${runid}`)
    expect(body.slice(0, 2)).toEqual([
      {
        runid,
        driver: "old",
        pipeline: "release",
        timestamp: at,
        message: "one",
        sequence: 1,
        stream: "api",
      },
      {
        runid,
        driver: "old",
        pipeline: "release",
        timestamp: at,
        message: "two",
        sequence: 2,
        stream: "api",
      },
    ])
    expect(Number.isNaN(Date.parse(body[2].timestamp))).toBe(false)
  })

  test("is refused for a run that is not there, and for an id that is none", async () => {
    expect((await rig.send("POST", "/logs", { runid: Bun.randomUUIDv7(), message: "x" })).status).toBe(404)
    for (const runid of ["../../etc/passwd", "", 7]) {
      const refused = await rig.send("POST", "/logs", { runid, message: "x" })
      expect(refused).toMatchObject({ status: 422, body: { faults: [{ path: "/runid" }] } })
    }
  })
})

describe("reading logs", () => {
  test("filters by run, driver and pipeline, oldest run first", async () => {
    await using own = await apiRig()
    await withRelease(own)
    const runIds: string[] = []
    for (const [name, pipeline] of [
      ["a", "release"],
      ["b", ""],
      ["c", "release"],
    ] as const) {
      const { body } = await own.send("POST", "/resources", { name, resource: "app", pipeline })
      runIds.push(body.runid)
      for (const driver of ["git", "shell"]) {
        await own.logs.append(body.runid, [{ at, stream: "log", driver, message: `${name} ${driver}` }])
      }
    }
    const read = async (query: string) =>
      (await own.send("GET", `/logs?${query}`)).body.map((line: { message: string }) => line.message)
    expect(await read("")).toEqual(["a git", "a shell", "b git", "b shell", "c git", "c shell"])
    expect(await read("pipeline=release&driver=git")).toEqual(["a git", "c git"])
    expect(await read(`runid=${runIds[1]}`)).toEqual(["b git", "b shell"])
    expect(await read(`runid=${runIds[1]}&pipeline=release`)).toEqual([])
    expect(await read(`runid=${Bun.randomUUIDv7()}`)).toEqual([])
    expect((await own.send("GET", "/logs?runid=x")).status).toBe(422)
    expect((await own.send("GET", "/logs?after=x")).status).toBe(422)

    for (const limit of [1, 2, 3, 5]) {
      const paged: string[] = []
      let path: string | undefined = `/logs?limit=${limit}&pipeline=release`
      while (path !== undefined) {
        const page = await own.send("GET", path)
        paged.push(...page.body.map((line: { message: string }) => line.message))
        path = /^<(.*)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1]
      }
      expect(paged).toEqual(["a git", "a shell", "c git", "c shell"])
    }
    expect(await read(`runid=${runIds[2]}&after=1`)).toEqual(["c shell"])
  })
})

describe("following a log", () => {
  test("replays what is there, goes on with what comes, and ends with the run", async () => {
    const runId = await newRun()
    await append(runId, "git", "one", "two")
    const events = sentEvents(`${rig.url}/logs/pipeline/${runId}`)
    expect((await events.next()).value).toEqual({
      event: "message",
      id: "1",
      data: {
        runid: runId,
        driver: "git",
        pipeline: "release",
        timestamp: at,
        message: "one",
        sequence: 1,
        step: "build",
        attempt: 1,
        stream: "log",
      },
    })
    await append(runId, "shell", "three")
    await rig.endRun(runId)
    const rest = await Array.fromAsync(events)
    expect(messages(rest)).toEqual(["two", "three"])
    expect(rest.at(-1)).toEqual({ event: "end", data: { runid: runId, status: "succeeded" } })
  })

  test("of one driver leaves out the others", async () => {
    const runId = await newRun()
    await append(runId, "git", "a")
    await append(runId, "shell", "b")
    await rig.endRun(runId, { status: "failed", message: "" })
    const events = await Array.fromAsync(sentEvents(`${rig.url}/logs/streams/shell/${runId}/`))
    expect(messages(events)).toEqual(["b"])
    expect(events.at(-1)?.data.status).toBe("failed")
  })

  test("neither misses nor repeats a line, whenever it begins", async () => {
    const runId = await newRun()
    const followers: Promise<SentEvent[]>[] = []
    const appends: Promise<void>[] = []
    for (const n of upTo(600)) {
      appends.push(append(runId, "git", n))
      if (appends.length % 60 === 0) {
        followers.push(Array.fromAsync(sentEvents(`${rig.url}/logs/pipeline/${runId}`)))
        await appends.at(-30)
      }
    }
    await Promise.all(appends)
    await rig.endRun(runId)
    for (const events of await Promise.all(followers)) {
      expect(messages(events)).toEqual(upTo(600))
      expect(events.at(-1)?.event).toBe("end")
    }
  })

  test("resumes behind the last event that was seen, by header and by query", async () => {
    const runId = await newRun()
    await append(runId, "git", ...upTo(50))
    await rig.endRun(runId)
    const url = `${rig.url}/logs/pipeline/${runId}`
    expect(messages(await Array.fromAsync(sentEvents(url, { "last-event-id": "30" })))).toEqual(
      upTo(50).slice(30),
    )
    expect(messages(await Array.fromAsync(sentEvents(`${url}?lastEventId=49`)))).toEqual(["50"])
    expect((await Array.fromAsync(sentEvents(`${url}?lastEventId=50`))).map((each) => each.event)).toEqual([
      "end",
    ])
    expect((await rig.send("GET", `/logs/pipeline/${runId}?lastEventId=x`)).status).toBe(422)
  })

  test("of a long log by a client that reads slowly holds up neither writer nor host", async () => {
    const runId = await newRun()
    const slow = sentEvents(`${rig.url}/logs/pipeline/${runId}`)
    const first = slow.next()
    const line = "x".repeat(1_000)
    await append(runId, "git", line)
    await first
    const before = process.memoryUsage().rss
    for (let n = 0; n < 40; n++) await append(runId, "git", ...Array<string>(1_000).fill(line))
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
    await rig.endRun(runId)
    let lines = 1
    for await (const { event } of slow) if (event === "message") lines++
    expect(lines).toBe(40_001)
  }, 30_000)

  test("of a run that is not there is 404", async () => {
    for (const path of [
      `/logs/pipeline/${Bun.randomUUIDv7()}`,
      "/logs/pipeline/x",
      "/logs/streams/git/%00",
    ]) {
      expect((await rig.send("GET", path)).status).toBe(404)
    }
  })
})
