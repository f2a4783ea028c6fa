import { afterAll, beforeAll, expect, test } from "bun:test"
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import type { RunView, StepView } from "../../src/model/run-view.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { buildExecutable } from "../rig/executable.ts"
import { endedRun, hostsSeen, post, type ServedHost, serveHost } from "../rig/served-host.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/*
 * Two hosts on one etcd, each in a process of its own. `first` has the driver `make`, which gives data too large for a
 * record; `second` has `pass`, which reads nothing and waits at a gate, and `use`, which says what it got of the data.
 */

const make = `import { defineDriver } from "conveyor"
export default defineDriver({
  async reconcile(ctx) {
    const data = { of: ctx.run.id, text: "é".repeat(1_000_000), list: [1, null, true, { deep: 1.5 }] }
    return { success: true, message: "made", data }
  },
})
`
const pass = (gates: string) => `import { existsSync } from "node:fs"
import { defineDriver } from "conveyor"
export default defineDriver({
  readsResults: false,
  async reconcile(ctx) {
    while (!existsSync(${JSON.stringify(gates)} + "/" + ctx.resource.name)) await Bun.sleep(20)
    return { success: true, message: "passed", data: { sees: ctx.results.make.data === undefined ? 0 : 1 } }
  },
})
`
const use = (gates: string) => `import { existsSync } from "node:fs"
import { defineDriver } from "conveyor"
export default defineDriver({
  async reconcile(ctx) {
    const { data } = ctx.results.make
    const success = !existsSync(${JSON.stringify(gates)} + "/" + ctx.resource.name + "-breaks")
    const sha256 = new Bun.CryptoHasher("sha256").update(JSON.stringify(data)).digest("hex")
    const byDriver = ctx.resource.metadata.driverresults.make.data.text.length
    return { success, message: "used", data: { sha256, byDriver, input: ctx.input } }
  },
})
`
const cel = (expression: string) => `\${{ ${expression} }}`
const steps = [
  { id: "make", driver: "make" },
  { id: "pass", driver: "pass" },
  {
    id: "use",
    driver: "use",
    if: "results.make.data.list[2] == true",
    with: { size: cel("size(steps.make.data.text)"), list: cel("results.make.data.list") },
  },
]

/** What `make` gives in this run, as JSON. */
const madeIn = (runId: string) =>
  JSON.stringify({ of: runId, text: "é".repeat(1_000_000), list: [1, null, true, { deep: 1.5 }] })
const sha256 = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex")
/** What `use` gives when it got what `make` gave in this run. */
const usedIn = (runId: string) => ({
  sha256: sha256(madeIn(runId)),
  byDriver: 1_000_000,
  input: { size: 1_000_000, list: [1, null, true, { deep: 1.5 }] },
})

let first: ServedHost
let second: ServedHost
let root: string
let restartFirst: () => Promise<void>
const parts = new AsyncDisposableStack()
beforeAll(async () => {
  root = parts.use(await tempFolder()).path
  const gates = join(root, "gates")
  const built: Promise<[Awaited<ReturnType<typeof buildExecutable>>, EtcdRig]> = Promise.all([
    buildExecutable(),
    startEtcd(),
  ])
  const [executable, etcd] = await built
  parts.use(executable)
  parts.use(etcd)
  const serve = async (name: string, modules: Readonly<Record<string, string>>) =>
    parts.use(
      await serveHost({
        executable: executable.path,
        folder: join(root, name),
        etcd: `${etcd.endpoint}/data`,
        drivers: {},
        modules,
      }),
    )
  await Bun.write(join(root, "first/.keep"), "")
  await Bun.write(join(root, "second/.keep"), "")
  await Bun.write(join(gates, ".keep"), "")
  ;[first, second] = await Promise.all([
    serve("first", { make }),
    serve("second", { pass: pass(gates), use: use(gates) }),
  ])
  restartFirst = async () => {
    first = await serve("first", { make })
  }
  await post(`${first.url}/resource-definitions`, { name: "app", schema: {} })
  await post(`${first.url}/pipelines`, { name: "move", resource: "app", steps })
  await Promise.all([first, second].map(({ url }) => hostsSeen(url, 2)))
}, 120_000)
afterAll(() => parts.disposeAsync())

const open = (gate: string) => Bun.write(join(root, "gates", gate), "")
const start = async (name: string) =>
  (await post(`${second.url}/resources`, { name, resource: "app", pipeline: "move" }))["runid"] as string
const view = async (runId: string) => (await (await fetch(`${second.url}/runs/${runId}`)).json()) as RunView
const stepOf = ({ steps: views }: RunView, id: string) => views.find((step) => step.id === id) as StepView

/** The run once its step `pass` has begun: `make` has given its data then. */
const passing = (runId: string) =>
  until("the gate is waited at", async () => {
    const run = await view(runId)
    return stepOf(run, "pass").status === "running" ? run : undefined
  })

test("data reaches a step on another host, its expressions, and whoever asks any host", async () => {
  await open("whole")
  const runId = await start("whole")
  const run = await endedRun(second.url, runId)
  expect(run.steps.map(({ status, hostId }) => [status, hostId])).toEqual([
    ["succeeded", first.hostId],
    ["succeeded", second.hostId],
    ["succeeded", second.hostId],
  ])
  const json = madeIn(runId)
  const url = `/runs/${runId}/steps/make/data`
  expect(stepOf(run, "make").result).toEqual({
    success: true,
    message: "made",
    dataRef: { bytes: Buffer.byteLength(json), sha256: sha256(json), url },
  })
  expect(stepOf(run, "pass").result?.data).toEqual({ sees: 0 })
  expect(stepOf(run, "use").result?.data).toEqual(usedIn(runId))
  for (const host of [first, second]) expect(await (await fetch(host.url + url)).text()).toBe(json)
  expect(await readdir(join(root, "first/.conveyor/results", runId))).toEqual([`${sha256(json)}.json`])
  expect(await readdir(join(root, "second/.conveyor"))).not.toContain("results")
}, 60_000)

test("a rerun of what failed keeps data that lies on another host", async () => {
  await open("again")
  await open("again-breaks")
  const runId = await start("again")
  expect((await endedRun(second.url, runId)).status).toBe("failed")
  await rm(join(root, "gates/again-breaks"))
  const rerun = (await post(`${second.url}/runs/${runId}/rerun`, { failed: true }))["runid"] as string
  const run = await endedRun(second.url, rerun)
  expect(run.status).toBe("succeeded")
  expect(stepOf(run, "make").keptFrom).toBe(runId)
  expect(stepOf(run, "use").result?.data).toEqual(usedIn(runId))
  const kept = await fetch(`${second.url}/runs/${rerun}/steps/make/data`)
  expect(await kept.text()).toBe(madeIn(runId))
}, 60_000)

test("a step whose data is lost fails, and names it and the host that had it", async () => {
  const runId = await start("lost")
  await passing(runId)
  await rm(join(root, "first/.conveyor/results", runId), { recursive: true })
  await open("lost")
  const run = await endedRun(second.url, runId)
  const bytes = Buffer.byteLength(madeIn(runId))
  const why = `host ${first.hostId} does not have it any more`
  expect(run.steps.map(({ status }) => status)).toEqual(["succeeded", "succeeded", "failed"])
  expect(stepOf(run, "use").message).toBe(`The data of step "make" (${bytes} bytes) is lost: ${why}`)
  const asked = await fetch(`${second.url}/runs/${runId}/steps/make/data`)
  expect(asked.status).toBe(404)
  expect(((await asked.json()) as { detail: string }).detail).toBe(
    `The data of step "make" (${bytes} bytes) cannot be read: ${why}`,
  )
}, 60_000)

test("a step waits for the host that has its data, says so, and goes on when that is back", async () => {
  const runId = await start("gone")
  await passing(runId)
  const { hostId } = first
  await first.kill()
  await open("gone")
  const bytes = Buffer.byteLength(madeIn(runId))
  const sentence = `waiting for host ${hostId}, which has the data of step "make" (${bytes} bytes) and does not answer`
  await until("the step says what it waits for", async () => {
    const { status, message } = stepOf(await view(runId), "use")
    return status === "waiting" && message === sentence
  })
  expect(stepOf(await view(runId), "pass").status).toBe("succeeded")
  const asked = await fetch(`${second.url}/runs/${runId}/steps/make/data`)
  expect(asked.status).toBe(503)
  expect(((await asked.json()) as { detail: string }).detail).toContain(
    `The data of step "make" (${bytes} bytes) cannot be read: Host ${hostId} `,
  )
  await restartFirst()
  const run = await endedRun(second.url, runId)
  expect([run.status, stepOf(run, "use").result?.data]).toEqual(["succeeded", usedIn(runId)])
}, 60_000)
