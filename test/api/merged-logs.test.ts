import { afterAll, describe, expect, test } from "bun:test"
import type { LogLine } from "../../src/model/log.ts"
import type { Run, StepState } from "../../src/model/run.ts"
import { hostKey, runKey, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { until } from "../rig/until.ts"
import { type ApiRig, apiRig, type SentEvent, sentEvents, withRelease } from "./api-rig.ts"

/* The APIs of three hosts on one store, each with its own log folder; the engines' part is played by hand. */

const store = await openSqlite(":memory:")
const hosts = await Promise.all(
  ["a", "b", "c"].map((name) => apiRig({ store, hostId: `host-${name}`, folder: `folder-${name}` })),
)
const [a, b, c] = hosts as [ApiRig, ApiRig, ApiRig]
afterAll(async () => {
  for (const host of hosts) await host[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
})
await withRelease(a)

async function announce(name: string, url: string | undefined): Promise<void> {
  await a.put(hostKey(`host-${name}`), {
    hostId: `host-${name}`,
    folder: `folder-${name}`,
    version: "1",
    startedAt: at(0),
    ...(url === undefined ? {} : { url }),
    labels: {},
    load: { attempts: 0, attemptsMax: 64 },
    drivers: [],
    driverFaults: [],
  })
}
for (const [index, name] of ["a", "b", "c"].entries()) await announce(name, hosts[index]?.url)

function at(ms: number): string {
  return new Date(Date.UTC(2026, 0, 1) + ms).toISOString()
}
const place = (name: string) => ({ folder: `folder-${name}`, hostId: `host-${name}` })

let count = 0
/** A run with its log in these places. */
async function newRun(
  places: readonly string[],
  states: Record<string, readonly number[]> = {},
): Promise<string> {
  const source = { name: `web-${++count}`, resource: "app", pipeline: "release" }
  const runId: string = (await a.send("POST", "/resources", source)).body.runid
  await a.startRun(runId)
  await a.put(runKey(runId), { ...(await a.readRun(runId)), logs: places.map(place) } as Run)
  for (const [step, logs] of Object.entries(states)) {
    await a.put(stepKey(runId, step), {
      status: "running",
      attempt: logs.length,
      driverHash: "h",
      hostId: "host-a",
      startedAt: at(0),
      logs,
    } as StepState)
  }
  return runId
}

interface Written {
  readonly ms: number
  readonly step: string
  readonly attempt?: number
  readonly message: string
}
const write = (host: ApiRig, runId: string, ...lines: readonly Written[]) =>
  host.logs.append(
    runId,
    lines.map(({ ms, step, attempt = 1, message }) => ({
      at: at(ms),
      step,
      attempt,
      driver: step,
      stream: "log" as const,
      message,
    })),
  )
const read = async (host: ApiRig, query: string) =>
  (await host.send("GET", `/logs?${query}`)).body.map((line: LogLine) => line.message)
const messages = (events: readonly SentEvent[]) =>
  events.flatMap(({ event, data }) => (event === "message" && data.stream !== "notice" ? [data.message] : []))

describe("the order of lines that lie in several places", () => {
  test("is that of the clocks, and within a place its own", async () => {
    const runId = await newRun(["a", "b"])
    await write(a, runId, { ms: 1, step: "clone", message: "1" }, { ms: 5, step: "clone", message: "5" })
    await write(a, runId, { ms: 2, step: "clone", message: "5, whatever its clock says" })
    await write(b, runId, { ms: 2, step: "build", message: "2" }, { ms: 6, step: "build", message: "6" })
    for (const host of hosts) {
      expect(await read(host, `runid=${runId}`)).toEqual(["1", "2", "5", "5, whatever its clock says", "6"])
    }
  })

  test("has the attempts of a step one after the other, whatever the clocks say", async () => {
    const runId = await newRun(["a", "b", "c"], { build: [0, 1, 2] })
    await write(c, runId, { ms: 1, step: "build", attempt: 3, message: "third" })
    await write(b, runId, { ms: 2, step: "build", attempt: 2, message: "second" })
    await write(a, runId, { ms: 3, step: "clone", message: "clone" })
    await write(a, runId, { ms: 4, step: "build", attempt: 1, message: "first" })
    for (const host of hosts) {
      expect(await read(host, `runid=${runId}`)).toEqual(["clone", "first", "second", "third"])
      for (const limit of [1, 2, 3]) {
        const paged: string[] = []
        let path: string | undefined = `/logs?runid=${runId}&limit=${limit}`
        while (path !== undefined) {
          const page = await host.send("GET", path)
          paged.push(...page.body.map((line: LogLine) => line.message))
          path = /^<(.*)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1]
        }
        expect(paged).toEqual(["clone", "first", "second", "third"])
      }
    }
  })

  test("is no deadlock where a late line of an attempt that was taken over contradicts it", async () => {
    const runId = await newRun(["a", "b"], { build: [0, 1], test: [1, 0] })
    await write(a, runId, { ms: 1, step: "test", attempt: 2, message: "test 2" })
    await write(a, runId, { ms: 4, step: "build", attempt: 1, message: "build 1" })
    await write(b, runId, { ms: 2, step: "build", attempt: 2, message: "build 2" })
    await write(b, runId, { ms: 3, step: "test", attempt: 1, message: "test 1" })
    expect((await read(c, `runid=${runId}`)).sort()).toEqual(["build 1", "build 2", "test 1", "test 2"])
  })
})

describe("a position in such a log", () => {
  test("stays right when the run comes to another place", async () => {
    const runId = await newRun(["a"])
    await write(a, runId, { ms: 1, step: "clone", message: "1" }, { ms: 2, step: "clone", message: "2" })
    const events = sentEvents(`${c.url}/logs/pipeline/${runId}`)
    await events.next()
    const { id } = (await events.next()).value as SentEvent
    expect(id).toBe("2")
    await a.put(runKey(runId), { ...(await a.readRun(runId)), logs: ["a", "b"].map(place) } as Run)
    await write(b, runId, { ms: 3, step: "build", message: "3" })
    expect((await events.next()).value).toMatchObject({ id: "2.1", data: { place: 1, sequence: 1 } })
    await write(a, runId, { ms: 4, step: "clone", message: "4" })
    expect((await events.next()).value).toMatchObject({ id: "3.1", data: { sequence: 3 } })
    await a.endRun(runId)
    await Array.fromAsync(events)
    const rest = await Array.fromAsync(sentEvents(`${b.url}/logs/pipeline/${runId}?lastEventId=2`))
    expect(messages(rest)).toEqual(["3", "4"])
    expect(await read(b, `runid=${runId}&after=2.1`)).toEqual(["4"])
    for (const text of ["x", "1.", ".1", "1.x", "-1"])
      expect((await a.send("GET", `/logs?runid=${runId}&after=${text}`)).status).toBe(422)
  })

  test("is good from any line on while lines come everywhere: none is lost and none comes twice", async () => {
    const runId = await newRun(["a", "b", "c"], { build: [0, 1, 2] })
    const followed = hosts.map((host) => Array.fromAsync(sentEvents(`${host.url}/logs/pipeline/${runId}`)))
    for (let n = 0; n < 60; n++) {
      const host = hosts[n % 3] as ApiRig
      const step = n % 2 === 0 ? "clone" : "build"
      await write(host, runId, { ms: n, step, attempt: step === "build" ? (n % 3) + 1 : 1, message: `${n}` })
    }
    await a.endRun(runId)
    const all = Array.from({ length: 60 }, (_, n) => `${n}`)
    for (const events of await Promise.all(followed)) {
      expect(messages(events).toSorted((x, y) => Number(x) - Number(y))).toEqual(all)
      for (const at of [0, 7, 31, 58]) {
        const rest = await Array.fromAsync(
          sentEvents(`${b.url}/logs/pipeline/${runId}`, { "last-event-id": events[at]?.id ?? "" }),
        )
        const known = messages(events.slice(0, at + 1))
        expect([...known, ...messages(rest)].toSorted((x, y) => Number(x) - Number(y))).toEqual(all)
      }
    }
  })
})

test("a line that is posted to a run which has not begun is in its first place, wherever it begins then", async () => {
  const source = { name: `web-${++count}`, resource: "app", pipeline: "release" }
  const runid: string = (await a.send("POST", "/resources", source)).body.runid
  await b.send("POST", "/logs", { runid, message: "early" })
  await b.send("POST", "/logs", { runid, message: "again" })
  expect((await a.readRun(runid)).logs).toEqual([place("b")])
  await a.put(runKey(runid), { ...(await a.readRun(runid)), logs: ["b", "a"].map(place) } as Run)
  await write(a, runid, { ms: 1e12, step: "clone", message: "begun" })
  for (const host of hosts) expect(await read(host, `runid=${runid}`)).toEqual(["early", "again", "begun"])
  expect(await read(c, `runid=${runid}&after=1`)).toEqual(["again", "begun"])
})

test("a log that lies on one host alone, which is gone, is said to be missing and not taken for empty", async () => {
  const runId = await newRun(["e"])
  await a.endRun(runId)
  const answer = await a.send("GET", `/logs?runid=${runId}`)
  expect(answer.body).toEqual([])
  expect(answer.headers.get("conveyor-missing-logs")).toContain("Host host-e has been gone since")
  const events = await Array.fromAsync(sentEvents(`${a.url}/logs/pipeline/${runId}`))
  expect(events.map(({ event, data }) => [event, data.stream])).toEqual([
    ["message", "notice"],
    ["end", undefined],
  ])
})

describe("what one host asks another", () => {
  test("is answered with its own lines only, and refused for another data folder", async () => {
    const runId = await newRun(["a", "b"])
    await write(a, runId, { ms: 1, step: "clone", message: "1" })
    await write(b, runId, { ms: 2, step: "build", message: "2" })
    const path = `/logs/local/${runId}`
    const own = async (query: string) => await (await fetch(`${b.url}${path}?${query}`)).text()
    const lines = (await own("folder=folder-b"))
      .trim()
      .split("\n")
      .map((text: string) => JSON.parse(text))
    expect(lines).toMatchObject([{ message: "2", sequence: 1 }, null])
    expect((await own("folder=folder-b&after=1")).trim()).toBe("null")
    expect((await b.send("GET", `${path}?folder=folder-a`)).status).toBe(409)
    expect((await b.send("GET", path)).status).toBe(409)
    expect((await b.send("GET", `${path}?folder=folder-b&after=x`)).status).toBe(422)
    expect((await b.send("GET", "/logs/local/x?folder=folder-b")).status).toBe(404)
  })

  test("that breaks off counts for what came, is said to be missing, and comes once when it is whole", async () => {
    const runId = await newRun(["a", "d"])
    await write(a, runId, { ms: 1, step: "clone", message: "1" })
    const line = (sequence: number): LogLine => ({
      sequence,
      at: at(sequence + 1),
      runId,
      step: "build",
      attempt: 1,
      stream: "log",
      message: `${sequence + 1}`,
    })
    let breaks = true
    await using peer = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        const after = Number(new URL(request.url).searchParams.get("after"))
        const lines = [line(1), line(2), line(3)].slice(after, breaks ? 2 : 3)
        return new Response([...lines.map((each) => JSON.stringify(each)), breaks ? "" : "null\n"].join("\n"))
      },
    })
    await announce("d", peer.url.href.replace(/\/$/, ""))
    await until("the host is known", async () => {
      const { headers } = await a.send("GET", `/logs?runid=${runId}`)
      return !headers.get("conveyor-missing-logs")?.includes("gone")
    })
    const torn = await a.send("GET", `/logs?runid=${runId}`)
    expect(torn.body.map((each: LogLine) => each.message)).toEqual(["1", "2", "3"])
    expect(torn.headers.get("conveyor-missing-logs")).toContain("Host host-d at http://127.0.0.1:")
    breaks = false
    expect(await read(a, `runid=${runId}`)).toEqual(["1", "2", "3", "4"])
    expect(await read(a, `runid=${runId}&after=${torn.body.length - 2}.2`)).toEqual(["4"])
  })
})
