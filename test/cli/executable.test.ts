import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { startEtcd } from "../rig/etcd.ts"
import { buildExecutable, type Running, runToEnd, start } from "../rig/executable.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/* What people get: one file, in a folder that is empty but for what a test writes, on a machine with nothing else. */

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

const conveyor = (cwd: string, ...args: string[]) => runToEnd([executable.path, ...args], { cwd })
const serve = (cwd: string, ...args: string[]) =>
  start([executable.path, "serve", "--port", "0", ...args], { cwd })

async function listening(host: Running): Promise<string> {
  return (await host.printed(/listening on (http:\S+)/))[1] as string
}

async function post(url: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as Record<string, unknown>
}

async function runAt(url: string, runId: unknown, query = "") {
  const response = await fetch(`${url}/runs/${runId}${query}`)
  return (await response.json()) as { status: string; steps: { status: string; attempt: number }[] }
}

/** What a process runs; nothing for one that is gone, or dead and not yet taken note of by its parent. */
function commandOf(pid: number): Promise<string> {
  return Bun.file(`/proc/${pid}/cmdline`)
    .text()
    .catch(() => "")
}

const pipeline = (script: string) =>
  `name: greet\nresource: person\nsteps:\n  - id: hello\n    driver: shell\n    with: ${JSON.stringify({ run: script })}\n`

/** A folder with a pipeline `greet` in its pipelines folder. */
async function folderWith(script: string) {
  const folder = await tempFolder()
  await Bun.write(join(folder.path, "pipelines/greet.yaml"), pipeline(script))
  return folder
}

describe("the executable", () => {
  test("tells its version and what it takes", async () => {
    await using empty = await tempFolder()
    const version = await conveyor(empty.path, "--version")
    expect(version).toMatchObject({ exit: 0, stderr: "" })
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+(\+[0-9a-f]+)?\n$/)
    const help = await conveyor(empty.path, "help")
    expect(help.exit).toBe(0)
    for (const command of ["serve|up", "run", "validate", "plan", "explain", "help"])
      expect(help.stdout).toContain(`  ${command} `)
  })

  test("names the nearest command and flag to one that does not exist", async () => {
    await using empty = await tempFolder()
    expect(await conveyor(empty.path, "sevre")).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining("Did you mean serve?"),
    })
    expect(await conveyor(empty.path, "serve", "--prot", "1")).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining("Did you mean --port?"),
    })
    expect(await conveyor(empty.path, "store", "export")).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('("conveyor store export --help" says what it takes)'),
    })
  })

  test("validates pipeline files, with the line of what is wrong", async () => {
    await using folder = await folderWith("true")
    expect((await conveyor(folder.path, "validate")).exit).toBe(0)
    await Bun.write(join(folder.path, "pipelines/bad.yaml"), "name: bad\nresource: x\nstepz: []\n")
    const bad = await conveyor(folder.path, "validate")
    expect(bad.exit).not.toBe(0)
    expect(bad.stdout + bad.stderr).toContain("bad.yaml:3")
  })

  test("finds an input that a shipped driver does not have, before anything runs", async () => {
    await using folder = await folderWith("true")
    const slip = "name: slip\nresource: x\nsteps:\n  - driver: shell\n    with: { run: 'true', cwdd: src }\n"
    await Bun.write(join(folder.path, "pipelines/slip.yaml"), slip)
    const told = 'pipelines/slip.yaml:5:26: The driver "shell" has no input "cwdd" (did you mean "cwd"?)\n'
    expect(await conveyor(folder.path, "validate")).toMatchObject({
      exit: 1,
      stdout: expect.stringContaining(told),
    })
    expect(await conveyor(folder.path, "plan", "slip")).toMatchObject({
      exit: 1,
      stdout: expect.stringMatching(/slip\.yaml:5:26: .*would fail/s),
    })
    const input = `{ "~standard": { version: 1, vendor: "own", validate: (value) => ({ value }), jsonSchema: { input: () => ({ required: ["to"] }) } } }`
    await Bun.write(
      join(folder.path, "drivers/ship.ts"),
      `export default { input: ${input}, reconcile() {} }\n`,
    )
    await Bun.write(
      join(folder.path, "pipelines/slip.yaml"),
      "name: slip\nresource: x\nsteps: [{ driver: ship }]\n",
    )
    expect(await conveyor(folder.path, "validate", "--load-drivers")).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining('The driver "ship" needs the input "to", which is missing'),
    })
    expect((await readdir(folder.path)).sort()).toEqual(["drivers", "pipelines"])
  })
})

describe("conveyor plan and explain", () => {
  test("say what a run would do without a host, and of a run on a host why it is where it is", async () => {
    await using folder = await folderWith("while [ ! -e ../../gate ]; do sleep 0.05; done")
    const plan = await conveyor(folder.path, "plan", "greet")
    expect(plan).toMatchObject({ exit: 0, stderr: "" })
    expect(plan.stdout).toMatch(/^ 1 {2}hello {2}shell$/m)
    expect(await readdir(folder.path)).toEqual(["pipelines"])
    expect(await conveyor(folder.path, "plan", "gret")).toMatchObject({
      exit: 2,
      stderr: 'conveyor: There is no pipeline "gret" in pipelines (did you mean "greet"?)\n',
    })

    await using host = serve(folder.path, "--data", "data")
    const url = await listening(host)
    await post(`${url}/resource-definitions`, { name: "person", schema: {} })
    const { runid } = await post(`${url}/resources`, { name: "ada", resource: "person", pipeline: "greet" })
    const explain = (...more: string[]) =>
      conveyor(folder.path, "explain", String(runid), "--server", url, ...more)
    await until("the step is said to run", async () => (await explain()).stdout.includes("▶ hello  runs on "))
    const { steps } = JSON.parse((await explain("--json")).stdout)
    const commands = steps[0].reason.processes.map(({ command }: { command: string }) => command)
    expect(commands.join("\n")).toContain("while [ ! -e ../../gate ]")
    await Bun.write(join(folder.path, "data/gate"), "")
    await until("it is said to have ended", async () =>
      (await explain()).stdout.includes("it has ended as succeeded"),
    )
  })
})

describe("conveyor run", () => {
  test("runs a file on a host of its own, shows its log, and exits 0", async () => {
    await using folder = await folderWith("echo hello person")
    const data = join(folder.path, "data")
    const run = await conveyor(folder.path, "run", "pipelines/greet.yaml", "--data", data)
    expect(run).toMatchObject({ exit: 0, stderr: "" })
    expect(run.stdout).toContain("hello | hello person")
    expect(run.stdout).toMatch(/✓ hello \d/)
    const log = run.stdout.match(/^log {8}(.+)$/m)?.[1] ?? ""
    expect(await Bun.file(log).text()).toContain('"hello person"')
  })

  test("exits 1 when the run fails, and says why", async () => {
    await using folder = await folderWith("exit 7")
    const run = await conveyor(folder.path, "run", "greet", "--data", "data")
    expect(run.exit).toBe(1)
    expect(run.stdout).toMatch(/✗ hello .*7/)
  })

  test("says what is wrong with a file once, and exits 2", async () => {
    await using folder = await folderWith("true")
    await Bun.write(join(folder.path, "bad.yaml"), "name: bad\nresource: x\nstepz: []\n")
    const run = await conveyor(folder.path, "run", "bad.yaml")
    expect(run.exit).toBe(2)
    expect(run.stderr.match(/Unknown field "stepz"|Unknown field \\"stepz\\"/g)).toHaveLength(1)
  })

  test("prints JSON lines, the run at the end", async () => {
    await using folder = await folderWith("echo hi")
    const { stdout, exit } = await conveyor(folder.path, "run", "greet", "--json", "--data", "data")
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(exit).toBe(0)
    expect(lines).toContainEqual(expect.objectContaining({ type: "log", step: "hello", message: "hi" }))
    expect(lines.at(-1)).toMatchObject({ status: "succeeded", steps: [{ id: "hello", status: "succeeded" }] })
  })

  test("cancels the run at the first signal and exits 1", async () => {
    await using folder = await folderWith("echo begun; sleep 600")
    await using run = start([executable.path, "run", "greet", "--data", "data"], { cwd: folder.path })
    await run.printed(/begun/)
    run.kill("SIGINT")
    await run.printed(/cancelled/)
    expect(await run.exited).toBe(1)
  })

  test("names the nearest pipeline to one that does not exist, and leaves no folder behind", async () => {
    await using folder = await folderWith("true")
    await using temporary = await tempFolder()
    const run = await runToEnd(["env", `TMPDIR=${temporary.path}`, executable.path, "run", "gret"], {
      cwd: folder.path,
    })
    expect(run).toMatchObject({
      exit: 2,
      stderr: 'conveyor: There is no pipeline "gret" in pipelines (did you mean "greet"?)\n',
    })
    expect(await readdir(temporary.path)).toEqual([])
  })

  test("lists the pipelines where none is near the one that does not exist, and the folder where there is none", async () => {
    await using folder = await folderWith("true")
    const run = (...more: string[]) => conveyor(folder.path, "run", "deploy", "--data", "data", ...more)
    expect(await run()).toMatchObject({
      exit: 2,
      stderr: 'conveyor: There is no pipeline "deploy" in pipelines; there are greet\n',
    })
    await Bun.write(join(folder.path, "empty/.keep"), "")
    expect(await run("--pipelines", "empty", "--data", "other")).toMatchObject({
      exit: 2,
      stderr: 'conveyor: There is no pipeline "deploy" in empty, which has none\n',
    })
  })

  test("takes the variables that expressions may read, and the host's labels, as flags", async () => {
    await using folder = await tempFolder()
    const wants = `${pipeline('echo "$TEXT"')}    env: { TEXT: "\${{ env.LANGUAGE }}" }\nhost: { gpu: "yes" }\n`
    await Bun.write(join(folder.path, "pipelines/greet.yaml"), `${wants}queueTimeout: 200ms\n`)
    const command = ["env", "LANGUAGE=plain English", executable.path, "run", "greet", "--data", "data"]
    const run = await runToEnd([...command, "--env", "LANGUAGE", "--label", "gpu=yes"], { cwd: folder.path })
    expect(run).toMatchObject({ exit: 0, stdout: expect.stringContaining("  hello | plain English\n") })
  })

  test("runs a file beside a driver that is broken, and says what is wrong with that", async () => {
    await using folder = await folderWith("echo fine")
    await Bun.write(join(folder.path, "drivers/broken.ts"), "export default {")
    const run = await conveyor(folder.path, "run", "pipelines/greet.yaml", "--data", "data")
    expect(run).toMatchObject({ exit: 0, stderr: expect.stringMatching(/error broken\.ts:1:\d+: /) })
  })

  test("ends quietly when nobody reads its output any more", async () => {
    await using folder = await folderWith("seq 100000; sleep 600")
    const pipeline = `"${executable.path}" run greet --data data | head -n 1`
    const run = await runToEnd(["bash", "-o", "pipefail", "-c", pipeline], { cwd: folder.path })
    expect(run).toMatchObject({ exit: 141, stdout: expect.stringMatching(/^run /), stderr: "" })
  })
})

describe("conveyor serve", () => {
  test("says what it loaded and where it listens, answers, and drains at SIGTERM", async () => {
    await using folder = await folderWith("true")
    await using host = serve(folder.path)
    const url = await listening(host)
    expect((await fetch(`${url}/health`)).status).toBe(200)
    await host.printed(/drivers +.*shell/)
    await host.printed(/pipelines +1 /)
    host.kill("SIGTERM")
    expect(await host.exited).toBe(0)
  })

  test("runs a pipeline for a client elsewhere", async () => {
    await using folder = await folderWith("echo served")
    await using host = start([executable.path, "up", "--port", "0"], { cwd: folder.path })
    const url = await listening(host)
    await using elsewhere = await tempFolder()
    const undefinedKind = await conveyor(elsewhere.path, "run", "greet", "--server", url)
    expect(undefinedKind).toMatchObject({ exit: 2, stderr: expect.stringContaining('definition "person"') })
    await post(`${url}/resource-definitions`, { name: "person", schema: {} })
    const run = await conveyor(elsewhere.path, "run", "greet", "--server", url)
    expect(run).toMatchObject({ exit: 0, stdout: expect.stringContaining("hello | served") })
  })

  test("stops at once at a second signal, and leaves no process of a step behind", async () => {
    await using folder = await folderWith(
      "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 1; done",
    )
    await using host = serve(folder.path, "--grace", "10m")
    const url = await listening(host)
    await post(`${url}/resource-definitions`, { name: "person", schema: {} })
    const { runid } = await post(`${url}/resources`, { name: "eve", resource: "person", pipeline: "greet" })
    const file = join(folder.path, ".conveyor/workspaces", String(runid), "pid")
    await until("the step ignores SIGTERM", () => Bun.file(file).exists())
    const pid = Number(await Bun.file(file).text())
    expect(await commandOf(pid)).toContain("trap")
    host.kill("SIGINT")
    await host.printed(/stopping/)
    host.kill("SIGTERM")
    expect(await host.exited).toBe(143)
    expect(await commandOf(pid)).toBe("")
  })

  test("goes on after kill -9 with every run that had not ended", async () => {
    await using folder = await folderWith("test -e go || { touch go; exec sleep 600; }")
    await using first = serve(folder.path)
    const url = await listening(first)
    await post(`${url}/resource-definitions`, { name: "person", schema: {} })
    const { runid } = await post(`${url}/resources`, { name: "eve", resource: "person", pipeline: "greet" })
    const marker = join(folder.path, ".conveyor/workspaces", String(runid), "go")
    await until("the first attempt has begun", () => Bun.file(marker).exists())
    first.kill("SIGKILL")
    await first.exited

    await using second = serve(folder.path)
    const run = await runAt(await listening(second), runid, "?wait=30s")
    expect(run).toMatchObject({ status: "succeeded", steps: [{ attempt: 2 }] })
  }, 60_000)

  test("serves from etcd alike", async () => {
    await using etcd = await startEtcd()
    await using folder = await folderWith("echo from etcd")
    await using host = serve(folder.path, "--store", `etcd://${new URL(etcd.endpoint).host}`)
    const url = await listening(host)
    await post(`${url}/resource-definitions`, { name: "person", schema: {} })
    const run = await conveyor(folder.path, "run", "greet", "--server", url)
    expect(run).toMatchObject({ exit: 0, stdout: expect.stringContaining("hello | from etcd") })
    host.kill("SIGTERM")
    expect(await host.exited).toBe(0)
  }, 60_000)
})
