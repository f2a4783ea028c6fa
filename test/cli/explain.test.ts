import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { join } from "node:path"
import pino from "pino"
import { type ExplainOptions, explain } from "../../src/cli/explain.ts"
import { styleFor } from "../../src/cli/terminal.ts"
import { loadConfig } from "../../src/config.ts"
import { type Host, startHost } from "../../src/host.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

const pipelines = (gate: string) => `
kind: ResourceDefinition
name: app
schema: {}
---
name: release
resource: app
concurrency: { key: production }
steps:
  - { id: wait, driver: shell, with: { run: 'while [ ! -e ${gate} ]; do sleep 0.05; done' } }
  - { id: ship, driver: shell, if: 'steps.wait.data.exitCode == 0 && resource.spec.to == "prod"', with: { run: "true" } }
`

let folder: Awaited<ReturnType<typeof tempFolder>>
let host: Host

beforeAll(async () => {
  folder = await tempFolder()
  const at = (name: string) => join(folder.path, name)
  await Bun.write(at("pipelines/release.yaml"), pipelines(at("gate")))
  const flags = { data: at("data"), port: "0", pipelines: at("pipelines"), drivers: at("drivers") }
  const config = await loadConfig({ flags, env: {}, cwd: folder.path })
  host = await startHost(config, { log: pino({ level: "silent" }) })
}, 30_000)
afterAll(async () => {
  await host.stop()
  await folder[Symbol.asyncDispose]()
})

async function explained(run: string, options: Partial<ExplainOptions> = {}) {
  const lines: string[] = []
  const code = await explain(run, {
    server: host.url,
    json: false,
    settings: {},
    print: (line) => lines.push(line),
    style: styleFor({}, {}),
    ...options,
  })
  return { code, lines }
}

async function submit(name: string): Promise<string> {
  const body = JSON.stringify({ name, resource: "app", pipeline: "release", spec: { to: "dev" } })
  const headers = { "content-type": "application/json" }
  const response = await fetch(`${host.url}/resources`, { method: "POST", headers, body })
  return ((await response.json()) as { runid: string }).runid
}

describe("conveyor explain", () => {
  test("says of a run on a host what runs, what waits, for which run, and what is decided already", async () => {
    const first = await submit("one")
    await until("it runs", async () =>
      (await explained(first)).lines.some((line) => line.startsWith("▶ wait")),
    )
    const { code, lines } = await explained(first)
    expect(code).toBe(0)
    const text = lines
      .join("\n")
      .replace(/(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d \((now|[^)]* ago|in [^)]*)\)/g, "<time>")
      .replaceAll(host.hostId, "<host>")
    expect(text).toBe(
      `run ${first}  ▶ running
  it is running "wait"
  it ends when "wait", "ship" have ended or are skipped

▶ wait  runs on <host> since <time>; times out at <time>
· ship  will be skipped once "wait" (running) has ended: its condition is false already: resource.spec.to == "prod" (resource.spec.to is "dev")
        if success() && (steps.wait.data.exitCode == 0 && resource.spec.to == "prod")
           steps.wait.data.exitCode  not known until "wait" has ended
           resource.spec.to          "dev"
           → false: resource.spec.to == "prod"`,
    )

    const second = await submit("two")
    const queued = await until("it waits for its key", async () => {
      const { lines } = await explained(second)
      return lines.find((line) => line.includes("concurrency key"))
    })
    expect(queued).toMatch(
      new RegExp(
        `^ {2}it waits since \\S+ \\(.*\\) for the concurrency key "production" \\(1 run at a time\\), held by run ${first} since `,
      ),
    )

    await Bun.write(join(folder.path, "gate"), "")
    const ended = await until("it has ended", async () => {
      const { lines } = await explained(second)
      return lines.includes("  it has ended as succeeded") ? lines : undefined
    })
    expect(ended.some((line) => line.startsWith(`✓ wait  succeeded on ${host.hostId} after `))).toBe(true)
    expect(ended).toContain(
      '· ship  its condition is false: resource.spec.to == "prod" (resource.spec.to is "dev")',
    )
  }, 30_000)

  test("knows a run by the beginning of its id, and prints what the host says as JSON", async () => {
    const runId = await submit("three")
    const { lines } = await explained(runId.slice(0, -4), { json: true })
    expect(JSON.parse(lines.join("\n"))).toMatchObject({ runId, steps: [{ id: "wait" }, { id: "ship" }] })
  })

  test("says how to come to a host where none serves with the settings of this folder", async () => {
    const gone = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
    const port = String(gone.port)
    await gone.stop(true)
    const lines: string[] = []
    const asked = explain("ffff", { json: false, settings: { port }, print: (line) => lines.push(line) })
    await expect(asked).rejects.toMatchObject({
      exit: 3,
      message: `No host answers at http://127.0.0.1:${port}: start one with "conveyor serve", or name one with --server <url>`,
    })
    expect(lines).toEqual([])
  })

  test("says which runs are meant where a beginning is of several, and of none", async () => {
    const runId = await submit("four")
    await submit("five")
    await expect(explained(runId.slice(0, 3))).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringContaining("give more of it"),
    })
    await expect(explained("ffff")).rejects.toThrow('No run\'s id begins with "ffff"')
    await expect(explained("release")).rejects.toThrow('"release" is no run\'s id, nor the beginning of one')
    await expect(explained(Bun.randomUUIDv7())).rejects.toMatchObject({ code: "NOT_FOUND" })
  })

  test("says that no host answers", async () => {
    await expect(explained("0", { server: "http://127.0.0.1:1" })).rejects.toMatchObject({
      code: "SERVER_UNREACHABLE",
    })
  })
})
