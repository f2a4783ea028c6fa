import { afterAll, beforeAll, expect, test } from "bun:test"
import { buildExecutable } from "../rig/executable.ts"
import { folderOf, serveWith, writeFiles } from "../rig/host-process.ts"
import { memoryOf } from "../rig/process-memory.ts"
import { until } from "../rig/until.ts"

/* The executable with much to do at its start. */

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

const queued = 10_000

test("a host that finds 10,000 queued runs is ready soon, answers meanwhile, stays small, and ends them all", async () => {
  await using folder = await folderOf({
    "pipelines/later.json": JSON.stringify({
      name: "later",
      resource: "app",
      steps: [{ id: "only", driver: "later" }],
    }),
  })
  // Nobody has the driver yet, so all of them wait; then the host is killed.
  const runs: string[] = []
  {
    await using host = await serveWith([executable.path], { cwd: folder.path })
    const submitMany = async () => {
      while (runs.length < queued) {
        const place = runs.push("") - 1
        runs[place] = await host.submit("later")
      }
    }
    await Promise.all(Array.from({ length: 32 }, submitMany))
    host.process.kill("SIGKILL")
    await host.process.exited
  }
  expect(new Set(runs).size).toBe(queued)

  await writeFiles(folder.path, { "drivers/later.js": "export default { reconcile() {} }" })
  const startedAt = performance.now()
  await using host = await serveWith([executable.path], { cwd: folder.path })
  expect(performance.now() - startedAt).toBeLessThan(10_000)

  let slowest = 0
  let peak = 0
  await until(
    "all have ended",
    async () => {
      // The host has better to do than to count all the time.
      await Bun.sleep(100)
      const askedAt = performance.now()
      const metrics = await (await fetch(`${host.url}/metrics`)).text()
      slowest = Math.max(slowest, performance.now() - askedAt)
      peak = Math.max(peak, memoryOf(host.process.pid))
      return /^conveyor_runs_active 0$/m.test(metrics)
    },
    120_000,
  )
  expect(slowest).toBeLessThan(5_000)
  expect(peak).toBeLessThan(600 * 1024 * 1024)
  const counts = new Map<string, number>()
  const ended = new Set<string>()
  for (let path: string | undefined = "/runs?limit=500"; path !== undefined; ) {
    const page: Response = await fetch(new URL(path, host.url))
    for (const { runId, status } of (await page.json()) as { runId: string; status: string }[]) {
      counts.set(status, (counts.get(status) ?? 0) + 1)
      ended.add(runId)
    }
    path = /<([^>]+)>; rel="next"/.exec(page.headers.get("link") ?? "")?.[1]
  }
  expect([...counts]).toEqual([["succeeded", queued]])
  expect(runs.filter((runId) => !ended.has(runId))).toEqual([])
  expect(host.logged(/"level":[56]0/)).toEqual([])
}, 300_000)
