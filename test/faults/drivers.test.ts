import { afterAll, beforeAll, expect, test } from "bun:test"
import { readdir, rename } from "node:fs/promises"
import { join } from "node:path"
import { buildExecutable, runToEnd } from "../rig/executable.ts"
import { folderOf, serveWith, shellPipeline } from "../rig/host-process.ts"
import { memoryOf } from "../rig/process-memory.ts"
import { until } from "../rig/until.ts"

/* The executable with drivers that behave badly, and with a drivers folder that is taken away. */

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

const mebibyte = 1024 * 1024
const pipelineOf = (name: string, ...steps: object[]) => JSON.stringify({ name, resource: "app", steps })
const driverOf = (body: string) => `export default { async reconcile(ctx) { ${body} } }`

/** The most memory a process had in use while something went on. */
async function peakDuring<T>(
  pid: number,
  work: Promise<T>,
): Promise<{ readonly result: T; readonly peak: number }> {
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, memoryOf(pid))
  }, 20)
  try {
    const result = await work
    return { result, peak }
  } finally {
    clearInterval(timer)
  }
}

test("a driver that leaks gets a fresh worker before it takes the host down, and the host says so", async () => {
  await using folder = await folderOf({
    "drivers/leaky.js": `const kept = []\n${driverOf("for (let n = 0; n < 24; n++) kept.push(new Array(131072).fill(n + 0.5))")}`,
    "pipelines/leak.json": pipelineOf("leak", { id: "leak", driver: "leaky" }),
  })
  await using host = await serveWith([executable.path], { cwd: folder.path, args: ["--worker-memory", "64"] })
  async function runMany() {
    // 60 times 24 MiB, one after the other.
    for (let n = 0; n < 60; n++)
      expect((await host.ended(await host.submit("leak"))).status).toBe("succeeded")
  }
  const { peak } = await peakDuring(host.process.pid, runMany())
  expect(peak).toBeLessThan(700 * mebibyte)
  const said = host.logged(/"driver":"leaky".*The driver holds \d+ MiB of memory/)
  expect(said.length).toBeGreaterThan(10)
  const metrics = await (await fetch(`${host.url}/metrics`)).text()
  expect(metrics).toMatch(/^process_resident_memory_bytes \d+$/m)
}, 60_000)

const million = 1_000_000

test.each([
  ["a command", { driver: "shell", with: { run: `seq 1 ${million}` } }],
  ["a module that does not wait", { driver: "chatty" }],
])(
  "1,000,000 lines of %s are all there, in order, and the host stays small",
  async (_, step) => {
    await using folder = await folderOf({
      "drivers/chatty.js": driverOf(`for (let n = 1; n <= ${million}; n++) ctx.log(String(n))`),
      "pipelines/chatty.json": pipelineOf("chatty", { id: "chatty", ...step }),
    })
    await using host = await serveWith([executable.path], { cwd: folder.path })
    const runId = await host.submit("chatty")
    const { result, peak } = await peakDuring(host.process.pid, host.ended(runId, 60_000))
    expect(result.status).toBe("succeeded")
    expect(peak).toBeLessThan(450 * mebibyte)

    const log = Bun.file(join(folder.path, ".conveyor/logs", `${runId}.jsonl`))
    const lines = (await log.text()).trimEnd().split("\n")
    expect(lines.length).toBe(million)
    const isNth = (line: string, n: number) =>
      line.includes(`"message":"${n}"`) && line.includes(`"sequence":${n},`)
    expect(lines.findIndex((line, index) => !isNth(line, index + 1))).toBe(-1)

    const page = async (query: string) => (await fetch(`${host.url}/logs?runid=${runId}&${query}`)).json()
    const last = (await page(`after=${million - 3}&limit=10`)) as { message: string }[]
    expect(last.map(({ message }) => message)).toEqual(["999998", "999999", "1000000"])
  },
  90_000,
)

test("a step that ignores its signal is killed after its grace period, and its run says that it is stopping", async () => {
  await using folder = await folderOf({
    "pipelines/deaf.json": shellPipeline("deaf", "trap '' TERM INT; echo deaf; while :; do sleep 0.1; done"),
  })
  await using host = await serveWith([executable.path], { cwd: folder.path, args: ["--grace", "1s"] })
  const runId = await host.submit("deaf")
  await until("it runs", async () => (await host.messages(runId)).includes("deaf"))
  const cancelledAt = performance.now()
  expect((await host.ask(`/runs/${runId}/cancel`, {})).status).toBeLessThan(300)
  const meanwhile = await host.run(runId)
  expect(meanwhile).toMatchObject({ status: "running", message: expect.stringMatching(/cancel|stopping/) })
  const ended = await host.ended(runId)
  expect(ended).toMatchObject({ status: "cancelled", steps: [{ status: "cancelled" }] })
  expect(performance.now() - cancelledAt).toBeGreaterThan(900)
  expect(await processesThatRun(folder.path)).toEqual([])
}, 30_000)

/** Commands of processes whose working directory is below a folder, but for the host itself. */
async function processesThatRun(folder: string): Promise<string[]> {
  const { stdout } = await runToEnd(["sh", "-c", 'for p in /proc/[0-9]*; do readlink "$p/cwd"; done'], {
    cwd: "/",
  })
  return stdout.split("\n").filter((cwd) => cwd.startsWith(`${folder}/`))
}

test("a timer that an attempt has left behind does not fail the next one in its worker", async () => {
  await using folder = await folderOf({
    "drivers/late.js": driverOf(`
      const goOff = () => { globalThis.wentOff = true; throw new Error("left behind") }
      if (ctx.step.id === "leaves") setTimeout(goOff, 50)
      if (ctx.step.id === "waits") while (!globalThis.wentOff) await Bun.sleep(5)
      if (ctx.step.id === "after") return { success: true, message: globalThis.wentOff ? "the same" : "a fresh worker" }
    `),
    "pipelines/late.json": pipelineOf(
      "late",
      { id: "leaves", driver: "late" },
      { id: "waits", driver: "late" },
      { id: "after", driver: "late" },
    ),
  })
  await using host = await serveWith([executable.path], { cwd: folder.path })
  expect(await host.ended(await host.submit("late"))).toMatchObject({
    status: "succeeded",
    message: "",
    steps: [{}, {}, { id: "after", message: "a fresh worker" }],
  })
}, 30_000)

test("a drivers folder that is emptied during a run takes no code from it: it goes on, through a restart too", async () => {
  await using folder = await folderOf({
    "drivers/first.js": driverOf(
      'while (!(await Bun.file(ctx.resource.spec.gate).exists())) await Bun.sleep(10); return { success: true, message: "first" }',
    ),
    "drivers/second": '#!/bin/sh\necho \'{"success": true, "message": "second"}\'\n',
    "pipelines/two.json": pipelineOf(
      "two",
      { id: "a", driver: "first" },
      { id: "b", driver: "second" },
      { id: "c", driver: "first" },
    ),
  })
  await Bun.$`chmod +x ${join(folder.path, "drivers/second")}`.quiet()
  const gate = join(folder.path, "gate")
  const drivers = join(folder.path, "drivers")
  const names = async (url: string) =>
    ((await (await fetch(`${url}/drivers`)).json()) as { name: string }[]).map(({ name }) => name)
  const results = (steps: readonly { readonly result?: { readonly message: string } }[]) =>
    steps.map(({ result }) => result?.message)

  await using host = await serveWith([executable.path], { cwd: folder.path })
  const [one, other] = [
    await host.submit("two", { gate }),
    await host.submit("two", { gate: join(folder.path, "later") }),
  ]
  for (const runId of [one, other]) {
    await until("it runs", async () => (await host.run(runId)).steps[0]?.status === "running")
  }
  for (const file of await readdir(drivers))
    await rename(join(drivers, file), join(folder.path, `gone-${file}`))
  await until("the drivers are gone", async () => !(await names(host.url)).includes("first"))
  await Bun.write(gate, "")
  expect(results((await host.ended(one)).steps)).toEqual(["first", "second", "first"])

  // A new run waits, and says for what.
  const waiting = await host.submit("two", { gate })
  const shown = await until("it waits", async () => {
    const run = await host.run(waiting)
    return run.steps[0]?.status === "waiting" ? run : undefined
  })
  expect(JSON.stringify(shown.steps[0])).toContain("first")

  host.process.kill("SIGKILL")
  await host.process.exited
  await using again = await serveWith([executable.path], { cwd: folder.path })
  await Bun.write(join(folder.path, "later"), "")
  expect(results((await again.ended(other)).steps)).toEqual(["first", "second", "first"])
  for (const file of ["first.js", "second"]) {
    await rename(join(folder.path, `gone-${file}`), join(drivers, file))
  }
  expect(results((await again.ended(waiting)).steps)).toEqual(["first", "second", "first"])
}, 60_000)
