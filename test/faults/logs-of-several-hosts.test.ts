import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { type SentEvent, sentEvents } from "../api/api-rig.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { buildExecutable } from "../rig/executable.ts"
import { endedRun, hostsSeen, post, readLog, type ServedHost, serveHost } from "../rig/served-host.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/*
 * Three hosts on one etcd, each in a process of its own: `first` has the driver alpha, `second` has beta, `third` has
 * neither and is only asked. A run goes from the first to the second, so its log lies in two places.
 */

let executable: Awaited<ReturnType<typeof buildExecutable>>
let etcd: EtcdRig
beforeAll(async () => {
  ;[executable, etcd] = await Promise.all([buildExecutable(), startEtcd()])
}, 120_000)
afterAll(async () => {
  await executable[Symbol.asyncDispose]()
  await etcd[Symbol.asyncDispose]()
})

interface Trio extends AsyncDisposable {
  readonly first: ServedHost
  readonly second: ServedHost
  readonly third: ServedHost
  /** Lets a step go on that waits at this gate. */
  open(gate: string): Promise<unknown>
  /** Starts the second host again, on the same folder. */
  restartSecond(): Promise<void>
  /** Starts a run of the pipeline `alpha, then beta`. */
  run(): Promise<string>
}

let trios = 0

/** Scripts say what they do, which is their log, and wait where a test wants to look. */
async function trio(
  scripts: { readonly alpha: string; readonly beta: string },
  flagsOf: (third?: ServedHost) => readonly string[] = () => [],
): Promise<Trio> {
  const parts = new AsyncDisposableStack()
  const root = parts.use(await tempFolder()).path
  const prefix = `trio-${++trios}`
  const gates = join(root, "gates")
  await mkdir(gates)
  const gate = `gate() { while [ ! -e ${gates}/$1 ]; do sleep 0.02; done; }; say() { echo "$1"; }`
  const serve = async (name: string, drivers: Readonly<Record<string, string>>, flags: readonly string[]) =>
    await serveHost({
      executable: executable.path,
      folder: join(root, name),
      etcd: `${etcd.endpoint}/${prefix}`,
      drivers,
      flags,
    })
  const [alpha, beta] = [{ alpha: `${gate}\n${scripts.alpha}` }, { beta: `${gate}\n${scripts.beta}` }]
  for (const name of ["first", "second", "third"]) await mkdir(join(root, name))
  const third = parts.use(await serve("third", {}, flagsOf()))
  const [first, secondAtFirst] = await Promise.all([
    serve("first", alpha, flagsOf()),
    serve("second", beta, flagsOf(third)),
  ])
  parts.use(first)
  let second = parts.use(secondAtFirst)
  await post(`${first.url}/resource-definitions`, { name: "app", schema: {} })
  const steps = [
    { id: "one", driver: "alpha" },
    { id: "two", driver: "beta" },
  ]
  await post(`${first.url}/pipelines`, { name: "move", resource: "app", steps })
  await Promise.all([first, second, third].map(({ url }) => hostsSeen(url, 3)))
  return {
    first,
    get second() {
      return second
    },
    third,
    open: (name) => Bun.write(join(gates, name), ""),
    async restartSecond() {
      second = parts.use(await serve("second", beta, flagsOf(third)))
    },
    async run() {
      const resource = { name: crypto.randomUUID(), resource: "app", pipeline: "move" }
      return (await post(`${first.url}/resources`, resource))["runid"] as string
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

const counted = (name: string, count: number) => `for n in $(seq 1 ${count}); do say "${name} $n"; done`
const upTo = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${name} ${index + 1}`)
const messagesOf = (lines: readonly { readonly message: string }[]) => lines.map(({ message }) => message)

/** Everything that a stream sends, until it ends. */
async function streamed(url: string, lastEventId?: string): Promise<SentEvent[]> {
  return await Array.fromAsync(
    sentEvents(url, lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
  )
}
const messages = (events: readonly SentEvent[]) =>
  messagesOf(events.filter(({ event }) => event === "message").map(({ data }) => data))

test("every host answers with the lines of all: in pages, filtered, streamed, and from any line on", async () => {
  await using hosts = await trio({ alpha: counted("one", 30), beta: counted("two", 30) })
  const { first, second, third } = hosts
  const seen = await hostsSeen(third.url, 3)
  expect(
    seen.map(({ drivers }) => drivers.map(({ name }) => name).filter((name) => /a$/.test(name))),
  ).toEqual(expect.arrayContaining([["alpha"], ["beta"], []]))
  expect(new Set(seen.map(({ folder }) => folder)).size).toBe(3)

  const runId = await hosts.run()
  const run = await endedRun(third.url, runId)
  expect(run.steps.map(({ hostId }) => hostId)).toEqual([first.hostId, second.hostId])
  const all = [...upTo("one", 30), ...upTo("two", 30)]
  for (const { url } of [first, second, third]) {
    for (const limit of [7, 100]) {
      const { lines, missing } = await readLog(url, runId, limit)
      expect(messagesOf(lines)).toEqual(all)
      expect(missing).toBeNull()
    }
    const filtered = await fetch(`${url}/logs?pipeline=move&driver=beta`)
    expect(messagesOf((await filtered.json()) as { message: string }[])).toEqual(upTo("two", 30))
    expect(messages(await streamed(`${url}/logs/streams/alpha/${runId}`))).toEqual(upTo("one", 30))

    const events = await streamed(`${url}/logs/pipeline/${runId}`)
    expect(messages(events)).toEqual(all)
    expect(events.at(-1)).toMatchObject({ event: "end", data: { status: "succeeded" } })
    for (const at of [3, 29, 30, 45, 59]) {
      const rest = await streamed(`${url}/logs/pipeline/${runId}`, events[at]?.id)
      expect(messages(rest)).toEqual(all.slice(at + 1))
    }
  }
}, 60_000)

test("a stream goes on to a host that takes up the run while it is read, and the command line follows too", async () => {
  await using hosts = await trio({
    alpha: "say begun; gate one; say done",
    beta: "say moved; gate two; say over",
  })
  const cli = Bun.spawn([executable.path, "run", "move", "--server", hosts.third.url], {
    env: { PATH: "/usr/bin:/bin", NO_COLOR: "1" },
    stdout: "pipe",
    stderr: "inherit",
  })
  const runId = await until("the run is there", async () => {
    const runs = (await (await fetch(`${hosts.third.url}/runs`)).json()) as { runId: string }[]
    return runs[0]?.runId
  })
  const events = sentEvents(`${hosts.third.url}/logs/pipeline/${runId}`)
  const next = async () => ((await events.next()).value as SentEvent).data.message
  expect(await next()).toBe("begun")
  await hosts.open("one")
  expect([await next(), await next()]).toEqual(["done", "moved"])
  await hosts.open("two")
  expect(await next()).toBe("over")
  expect((await events.next()).value).toMatchObject({ event: "end", data: { status: "succeeded" } })
  const told = await cli.stdout.text()
  expect([await cli.exited, told.match(/^ {2}(one|two) \| .*$/gm)]).toEqual([
    0,
    ["  one | begun", "  one | done", "  two | moved", "  two | over"],
  ])
}, 60_000)

test("lines on a host that was killed are said to be missing, and are there when it is back", async () => {
  await using hosts = await trio({ alpha: "say begun", beta: "say tried; gate two; say over" }, () => [
    "--lease-ttl",
    "2s",
  ])
  const runId = await hosts.run()
  const live = streamed(`${hosts.third.url}/logs/pipeline/${runId}`)
  await until("the second host has logged", async () =>
    messagesOf((await readLog(hosts.first.url, runId)).lines).includes("tried"),
  )
  const gone = hosts.second.hostId
  await hosts.second.kill()
  await hosts.open("two")
  const run = await endedRun(hosts.first.url, runId)
  expect(run).toMatchObject({ status: "succeeded", steps: [{ attempt: 1 }, { attempt: 2 }] })

  const sentence = new RegExp(
    `^Host ${gone} has been gone since \\d{4}-.*Z; its lines are missing: two \\(attempt 1\\)$`,
  )
  for (const { url } of [hosts.first, hosts.third]) {
    const { lines, missing } = await readLog(url, runId)
    expect(messagesOf(lines)).toEqual(["begun", "tried", "over"])
    expect(missing).toMatch(sentence)
    const events = await streamed(`${url}/logs/pipeline/${runId}`)
    expect(events.map(({ data }) => data).filter(({ stream }) => stream === "notice")).toMatchObject([
      { sequence: 0, message: expect.stringMatching(sentence) },
    ])
  }
  const followed = (await live).map(({ data }) => data)
  expect(messagesOf(followed.filter(({ stream }) => stream === "stdout"))).toEqual([
    "begun",
    "tried",
    "tried",
    "over",
  ])
  expect(followed.filter(({ stream }) => stream === "notice").length).toBeGreaterThan(0)

  await hosts.restartSecond()
  expect(hosts.second.hostId).not.toBe(gone)
  for (const { url } of [hosts.first, hosts.second, hosts.third]) {
    await hostsSeen(url, 3)
    const { lines, missing } = await readLog(url, runId)
    expect([messagesOf(lines), missing]).toEqual([["begun", "tried", "tried", "over"], null])
    expect(lines.map(({ step, attempt }) => `${step}#${attempt}`)).toEqual([
      "one#1",
      "two#1",
      "two#2",
      "two#2",
    ])
  }
}, 60_000)

test("a host that hangs holds an answer up for seconds, which says so; its lines follow when it goes on", async () => {
  await using hosts = await trio({ alpha: "say begun", beta: "say moved; gate two; say over" }, () => [
    "--lease-ttl",
    "1h",
  ])
  const runId = await hosts.run()
  const events = sentEvents(`${hosts.third.url}/logs/pipeline/${runId}`)
  const next = async () => ((await events.next()).value as SentEvent).data
  expect([(await next()).message, (await next()).message]).toEqual(["begun", "moved"])

  hosts.second.process.kill("SIGSTOP")
  const askedAt = performance.now()
  const { lines, missing } = await readLog(hosts.first.url, runId)
  expect(performance.now() - askedAt).toBeLessThan(10_000)
  expect(messagesOf(lines)).toEqual(["begun"])
  const sentence = new RegExp(
    `^Host ${hosts.second.hostId} at ${hosts.second.url} has not answered since \\d{4}-.*Z; its lines are missing: two \\(attempt 1\\)$`,
  )
  expect(missing).toMatch(sentence)
  expect(await next()).toMatchObject({ stream: "notice", message: expect.stringMatching(sentence) })

  hosts.second.process.kill("SIGCONT")
  await hosts.open("two")
  expect((await next()).message).toBe("over")
  expect(await next()).toMatchObject({ status: "succeeded" })
  await until(
    "all lines are answered again",
    async () => (await readLog(hosts.first.url, runId)).missing === null,
  )
  expect(messagesOf((await readLog(hosts.first.url, runId)).lines)).toEqual(["begun", "moved", "over"])
}, 60_000)

test("a line that is sent from outside lies on the host that took it, and every host answers with it", async () => {
  await using hosts = await trio({ alpha: "say begun; gate one", beta: "say moved" })
  const runId = await hosts.run()
  const { first, second, third } = hosts
  await until("the first step has logged", async () => (await readLog(third.url, runId)).lines.length === 1)
  await post(`${third.url}/logs`, { runid: runId, driver: "outside", message: "from a client" })
  for (const { url } of [first, second, third]) {
    expect(messagesOf((await readLog(url, runId)).lines)).toEqual(["begun", "from a client"])
  }
  await hosts.open("one")
  await endedRun(first.url, runId)
  for (const { url } of [first, second, third]) {
    const { lines } = await readLog(url, runId)
    expect(lines.map(({ place, sequence }) => [place, sequence])).toEqual([
      [undefined, 1],
      [1, 1],
      [2, 1],
    ])
  }
}, 60_000)

test("a host that others reach at a wrong address is not mistaken for the one that is there", async () => {
  await using hosts = await trio({ alpha: "say begun", beta: "say moved" }, (third) =>
    third === undefined ? [] : ["--advertise", third.url],
  )
  const runId = await hosts.run()
  await endedRun(hosts.third.url, runId)
  const { lines, missing } = await readLog(hosts.first.url, runId)
  expect(messagesOf(lines)).toEqual(["begun"])
  expect(missing).toBe(
    `At ${hosts.third.url} another host answers for ${hosts.second.hostId}, which needs --advertise; its lines are missing: two (attempt 1)`,
  )
}, 60_000)
