import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { join } from "node:path"
import { buildExecutable } from "../rig/executable.ts"
import { folderOf, serveWith, shellPipeline, waitForGate, writeFiles } from "../rig/host-process.ts"
import { settableClock } from "../rig/settable-clock.ts"
import { until } from "../rig/until.ts"

/* The executable with a wall clock that jumps by an hour under it, as when somebody sets it. */

const hour = 3_600
const jumps: [string, number][] = [
  ["forward", hour],
  ["back", -hour],
]

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

const backoffMs = 2_000
const pipelines = {
  "pipelines/greet.json": shellPipeline("greet", "echo one; echo two"),
  "pipelines/gate.json": shellPipeline("gate", `${waitForGate}; echo passed`, { timeout: "20m" }),
  "pipelines/flaky.json": shellPipeline("flaky", "test -e tried || { touch tried; exit 1; }", {
    retry: { attempts: 2, backoff: backoffMs },
  }),
}

/** A host whose clock the test sets. */
async function hostWithClock() {
  await using scope = new AsyncDisposableStack()
  const folder = scope.use(await folderOf(pipelines))
  const clock = settableClock(folder.path)
  const args = ["--lease-ttl", "1s", "--keep-runs-for", "2h", "--keep-workspaces-for", "2h"]
  const start = () => serveWith([executable.path], { cwd: folder.path, env: clock.env, args })
  const host = scope.use(await start())
  const owned = scope.move()
  return {
    folder: folder.path,
    clock,
    host,
    start,
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

/** The host's own idea of the time. */
async function timeAt(url: string): Promise<number> {
  return Date.parse((await fetch(`${url}/health`)).headers.get("date") ?? "")
}

describe.each(jumps)("a clock that jumps an hour %s", (_, seconds) => {
  test.concurrent("neither hastens a retry nor holds it up", async () => {
    await using rig = await hostWithClock()
    const { host, clock, folder } = rig
    const submittedAt = performance.now()
    const runId = await host.submit("flaky")
    await until("the step waits", async () => (await host.run(runId)).steps[0]?.status === "waiting")
    clock.set({ seconds })
    // A driver that comes has every run looked at again, at the new time.
    await writeFiles(folder, { "drivers/other.js": "export default { reconcile() {} }" })
    const names = async () => JSON.stringify((await host.ask("/drivers")).body)
    await until("the driver is there", async () => (await names()).includes('"other"'))
    expect(await host.ended(runId)).toMatchObject({ status: "succeeded", steps: [{ attempt: 2 }] })
    expect(performance.now() - submittedAt).toBeGreaterThan(backoffMs)
  }, 60_000)

  test.concurrent("ends no attempt and loses no lease, run, log or key", async () => {
    await using rig = await hostWithClock()
    const { host, clock, folder } = rig
    const gate = join(folder, "gate")
    const before = await host.ended(await host.submit("greet"))
    const running = await host.submit("gate", { gate })
    await until("it runs", async () => (await host.run(running)).status === "running")
    const order = { name: "paid", resource: "app", pipeline: "greet" }
    const pay = () =>
      fetch(`${host.url}/resources`, {
        method: "POST",
        headers: { "idempotency-key": "4711", "content-type": "application/json" },
        body: JSON.stringify(order),
      }).then((response) => response.json() as Promise<{ runid: string }>)
    const paid = await pay()
    await host.ended(paid.runid)

    clock.set({ seconds })
    await until("the host sees it", async () => Math.abs((await timeAt(host.url)) - Date.now()) > 1_000_000)
    // What is waited for here is that nothing happens, for longer than a lease lives that is not renewed.
    await Bun.sleep(1_200)
    expect(await pay()).toEqual(paid)
    const after = await host.ended(await host.submit("greet"))
    expect(after.status).toBe("succeeded")
    expect(await host.messages(after.runId)).toEqual(["one", "two"])
    await Bun.write(gate, "")
    const passed = await host.ended(running)
    expect(passed).toMatchObject({ status: "succeeded", steps: [{ attempt: 1 }] })
    expect(passed.durationMs).toBeGreaterThanOrEqual(0)
    expect(await host.messages(running)).toEqual(["passed"])

    // Each once, page by page, whatever the time in their ids.
    const listed: string[] = []
    for (let path: string | undefined = "/runs?limit=2"; path !== undefined; ) {
      const page: Response = await fetch(new URL(path, host.url))
      listed.push(...((await page.json()) as { runId: string }[]).map(({ runId }) => runId))
      path = /<([^>]+)>; rel="next"/.exec(page.headers.get("link") ?? "")?.[1]
    }
    const all = [before.runId, running, paid.runid, after.runId]
    expect(listed.toSorted()).toEqual(all.toSorted())

    // What had happened before still stands after a restart at the other time.
    host.process.kill("SIGTERM")
    expect(await host.process.exited).toBe(0)
    await using again = await rig.start()
    for (const runId of all) expect((await again.run(runId)).status).toBe("succeeded")
    expect(host.logged(/"level":[456]0/)).toEqual([])
  }, 60_000)
})
