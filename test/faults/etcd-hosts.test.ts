import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { join } from "node:path"
import type { HostRecord } from "../../src/model/host.ts"
import type { RunView } from "../../src/model/run-view.ts"
import { prefixes } from "../../src/store/keys.ts"
import { isStopped, startEtcd } from "../rig/etcd.ts"
import { buildExecutable, type Running, runToEnd, start } from "../rig/executable.ts"
import { startTcpProxy } from "../rig/tcp-proxy.ts"
import { until } from "../rig/until.ts"
import { ConstantLoad } from "./constant-load.ts"
import { argumentsOf, type HostOptions, type LiveFleet, type LiveHost, startFleet } from "./live-fleet.ts"

/* Hosts as processes of their own: stopped in their tracks, started and stopped while etcd is away. */

const testMsMax = 60_000

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

const serve = (settings: Readonly<Record<string, string>>) => [
  executable.path,
  "serve",
  ...argumentsOf(settings),
]

test(
  "a host stopped for longer than its lease: another takes over, and when it goes on it ends its attempts and works again",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using fleet = await startFleet([etcd.endpoint])
    await writeSleeper(fleet)
    await using first = await startProcess(fleet, { endpoints: [etcd.endpoint] })
    const runId = await submit(first.url, "sleeper")
    const pid = await pidOf(fleet)
    const other = await fleet.host({ endpoints: [etcd.endpoint] })
    const hosts = [first, other]
    await using load = new ConstantLoad([other.url], { everyMs: 150 })
    await load.more(10)

    first.process.kill("SIGSTOP")
    await until("every thread of the host has stopped", () => isStopped(first.process.pid))
    const stoppedAt = performance.now()
    await until("another attempt of the step runs on the other host", async () => {
      const [step] = (await runAt(other.url, runId)).steps
      return step?.attempt === 2 && step.hostId === other.hostId
    })
    // Its lease of 4 s, and what it takes to see that it has ended.
    expect(performance.now() - stoppedAt).toBeLessThan(9_000)
    // Nobody could tell what the stopped host had started, and it runs on.
    expect(await commandOf(pid)).toContain("sleep")
    await load.more(10)

    first.process.kill("SIGCONT")
    await until("what its attempt had started is gone", async () => (await commandOf(pid)) === "")
    await first.process.printed(/the host's lease is lost/)
    await Bun.write(join(fleet.folder, "go"), "")
    await fleet.haveEnded([runId])
    expect(await runAt(other.url, runId)).toMatchObject({
      status: "succeeded",
      steps: [{ attempt: 2, hostId: other.hostId }],
    })
    const both = await until("it has a new lease", async () => {
      const { entries } = await fleet.store.list(prefixes.hosts)
      return entries.length === 2 ? entries : undefined
    })
    expect(both.map(({ value }) => (JSON.parse(value) as HostRecord).hostId)).toContain(first.hostId)
    await load.stop()
    await until("it does work again", () => worksAgain(first))
    await fleet.nothingIsLost(load.acknowledged, hosts)
  },
  testMsMax,
)

describe("conveyor serve", () => {
  test.concurrent(
    "is refused in words where etcd is down or does not answer, and leaves nothing that keeps it from starting later",
    async () => {
      await using etcd = await startEtcd({ electionMs: 500 })
      await using network = await startTcpProxy(etcd.endpoint)
      await using fleet = await startFleet([etcd.endpoint])
      const settings = fleet.settings({ endpoints: [network.endpoint] })

      network.cut()
      expect(await runToEnd(serve(settings), { cwd: fleet.folder })).toMatchObject({
        exit: 3,
        stdout: "",
        stderr: expect.stringMatching(/^conveyor: etcd at 127\.0\.0\.1:\d+ does not answer: .+\n$/),
      })
      network.mend()
      network.hold()
      expect(await runToEnd(serve(settings), { cwd: fleet.folder })).toMatchObject({
        exit: 3,
        stdout: "",
        stderr: expect.stringMatching(
          /^conveyor: etcd at 127\.0\.0\.1:\d+ has not answered within 5000 ms\n$/,
        ),
      })
      network.mend()
      await using host = start(serve(settings), { cwd: fleet.folder })
      await host.printed(/listening on/)
    },
    testMsMax,
  )

  test.concurrent(
    "stops with etcd down as soon as its attempts have ended, and the run goes on when both are back",
    async () => {
      await using etcd = await startEtcd({ electionMs: 500 })
      await using fleet = await startFleet([etcd.endpoint])
      await writeSleeper(fleet)
      const options = { endpoints: [etcd.endpoint], settings: { "lease-ttl": "5s" } }
      await using host = await startProcess(fleet, options)
      const runId = await submit(host.url, "sleeper")
      const pid = await pidOf(fleet)
      await etcd.kill()
      const stoppedAt = performance.now()
      host.process.kill("SIGTERM")
      expect(await host.process.exited).toBe(0)
      // A second of grace, and one in which etcd could have come back.
      expect(performance.now() - stoppedAt).toBeLessThan(5_000)
      expect(await commandOf(pid)).toBe("")

      await etcd.restart()
      await Bun.write(join(fleet.folder, "go"), "")
      await using _ = await startProcess(fleet, { endpoints: [etcd.endpoint] })
      await fleet.haveEnded([runId])
    },
    testMsMax,
  )
})

/** A step whose first attempt sleeps for as long as the test takes; a later one ends when there is a file `go`. */
async function writeSleeper({ folder }: LiveFleet): Promise<void> {
  const script = `mkdir ${folder}/slept || { while ! test -e ${folder}/go; do sleep 0.1; done; exit 0; }; echo $$ > ${folder}/new; mv ${folder}/new ${folder}/pid; exec sleep 600`
  await Bun.write(
    join(folder, "pipelines/sleeper.yaml"),
    `name: sleeper\nresource: part\nsteps: [{ id: sleep, driver: shell, with: ${JSON.stringify({ run: script })} }]\n`,
  )
}

/** The process of that first attempt. */
async function pidOf({ folder }: LiveFleet): Promise<number> {
  const file = join(folder, "pid")
  await until("the first attempt has begun", () => Bun.file(file).exists())
  return Number(await Bun.file(file).text())
}

async function startProcess(
  fleet: LiveFleet,
  options: HostOptions,
): Promise<LiveHost & AsyncDisposable & { readonly process: Running }> {
  const process = start(serve(fleet.settings(options)), { cwd: fleet.folder })
  const [, url = ""] = await process.printed(/listening on (http:\S+)/)
  const { hostId } = await getJson<{ hostId: string }>(`${url}/health`)
  const stop = async () => await process[Symbol.asyncDispose]()
  return { url, hostId, said: [], process, stop, [Symbol.asyncDispose]: stop }
}

/** Whether one of a few runs that are submitted to it now is done by it. */
async function worksAgain({ url, hostId }: LiveHost): Promise<boolean> {
  const runId = await submit(url, "line")
  const { steps } = await runAt(url, runId, "?wait=10s")
  return steps.some((step) => step.hostId === hostId)
}

async function submit(url: string, pipeline: string): Promise<string> {
  await fetch(`${url}/resource-definitions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "part", schema: {} }),
  })
  const response = await fetch(`${url}/resources`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: `part-${crypto.randomUUID()}`, resource: "part", pipeline }),
  })
  expect(response.status).toBe(201)
  return ((await response.json()) as { runid: string }).runid
}

const runAt = (url: string, runId: string, query = "") => getJson<RunView>(`${url}/runs/${runId}${query}`)

async function getJson<T>(url: string): Promise<T> {
  return (await (await fetch(url)).json()) as T
}

/** What a process runs; nothing for one that is gone. */
function commandOf(pid: number): Promise<string> {
  return Bun.file(`/proc/${pid}/cmdline`)
    .text()
    .catch(() => "")
}
