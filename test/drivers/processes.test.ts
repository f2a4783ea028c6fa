import { expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { endOrphans } from "../../src/drivers/end-processes.ts"
import { childEnvironment, findProcesses } from "../../src/drivers/process-marks.ts"
import { until } from "../rig/until.ts"
import { isAlive, openDrivers, type StartedAttempt } from "./driver-rig.ts"

/** Runs a shell script with ctx.exec, then ends as its input says. */
const execer = `
import { defineDriver } from "conveyor"
export default defineDriver({
  async reconcile(ctx) {
    const { script, ending, options } = ctx.input
    const pending = ctx.exec(["sh", "-c", script], options)
    if (ending === "wait") return { success: true, data: await pending }
    while (!(await Bun.file(ctx.workspace + "/ready").exists())) await Bun.sleep(2)
    if (ending === "throw") throw new Error("thrown")
    if (ending === "exit") process.exit(3)
    if (ending === "hang") return new Promise(() => {})
    if (ending === "loop") for (;;) {}
  },
})
`

/** A child, a grandchild in a session of its own, and one that ignores SIGTERM. */
const family = `
sleep 600 & echo $! > child
setsid sh -c 'echo $$ > daemon; exec sleep 600' >/dev/null 2>&1 &
sh -c 'trap "" TERM; echo $$ > stubborn; while [ ! -s daemon ]; do sleep 0.01; done; touch ready; while :; do sleep 600; done' &
wait
`

async function pidsOf({ workspace }: StartedAttempt): Promise<number[]> {
  const files = ["child", "daemon", "stubborn"].map((name) => Bun.file(`${workspace}/${name}`))
  return Promise.all(files.map(async (file) => Number(await until("a pid is there", () => file.text()))))
}

async function expectAllGone(pids: readonly number[]): Promise<void> {
  expect(pids.every((pid) => pid > 1)).toBe(true)
  for (const pid of pids) expect(await isAlive(pid)).toBe(false)
}

test.each(["return", "throw", "exit"])("no process outlives an attempt that ends by %s", async (ending) => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const attempt = drivers.attempt("execer", { input: { script: family, ending }, graceMs: 100 })
  const result = await attempt.result
  expect(result.success).toBe(ending === "return")
  await expectAllGone(await pidsOf(attempt))
})

test.each(["wait", "hang", "loop"])(
  "no process outlives an attempt that times out in a %s",
  async (ending) => {
    await using drivers = await openDrivers({ "execer.ts": execer })
    const attempt = drivers.attempt("execer", { input: { script: family, ending }, graceMs: 100 })
    await until("it is ready", () => Bun.file(`${attempt.workspace}/ready`).exists())
    attempt.abort("took over 1 s")
    expect(await attempt.result).toEqual({ success: false, message: "took over 1 s" })
    await expectAllGone(await pidsOf(attempt))
  },
)

test("a process that ends at SIGTERM gets to say its last words", async () => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const script = `trap 'echo goodbye; exit 0' TERM; touch ready; while :; do sleep 0.01; done`
  const attempt = drivers.attempt("execer", { input: { script, ending: "wait" } })
  await until("it is ready", () => Bun.file(`${attempt.workspace}/ready`).exists())
  attempt.abort()
  await attempt.result
  expect(attempt.messages("stdout")).toEqual(["goodbye"])
})

test("what outlived a killed host is ended by its data folder", async () => {
  await using drivers = await openDrivers()
  const start = async (data: string) => {
    const child = Bun.spawn(["sleep", "600"], {
      env: childEnvironment({ token: "t", data }),
      stdio: ["ignore", "ignore", "ignore"],
      detached: true,
    })
    // A process that has only just been started may not have its environment yet.
    await until("it carries its mark", () => findProcesses({ type: "data", data }).includes(child.pid))
    const end = async () => {
      child.kill("SIGKILL")
      await child.exited
    }
    return { pid: child.pid, [Symbol.asyncDispose]: end }
  }
  await using orphan = await start(drivers.data)
  await using other = await start(`${drivers.data}-other`)
  await endOrphans(drivers.data, { graceMs: 1_000 })
  expect(await isAlive(orphan.pid)).toBe(false)
  expect(await isAlive(other.pid)).toBe(true)
})

test("ctx.exec answers exit code and output, and logs each line on its stream", async () => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const script = `cat; echo out; echo err >&2; printf 'a\\rb\\rlast'; exit 3`
  const { data, attempt } = await drivers.run("execer", {
    script,
    ending: "wait",
    options: { stdin: "in\n", allowFailure: true },
  })
  expect(data).toEqual({ exitCode: 3, stdout: "in\nout\na\rb\rlast", stderr: "err\n" })
  expect(attempt.messages("stdout")).toEqual(["in", "out", "last"])
  expect(attempt.messages("stderr")).toEqual(["err"])
})

test.each([
  ["exit 4", {}, '"sh -c exit 4" ended with exit code 4'],
  ["kill -9 $$", {}, '"sh -c kill -9 $$" ended with exit code 137'],
  ["true", { cwd: "nowhere" }, /^Cannot run "sh -c true": there is no folder .*nowhere$/],
])("ctx.exec throws for %s %p", async (script, options, message) => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const result = await drivers.run("execer", { script, ending: "wait", options })
  expect(result.success).toBe(false)
  expect(result.message).toMatch(message)
})

test("ctx.exec says which command does not exist", async () => {
  await using drivers = await openDrivers({
    "missing.js": `export default { reconcile: (ctx) => ctx.exec(["no-such-command", "x"]) }`,
  })
  expect((await drivers.run("missing")).message).toMatch(/^Cannot run "no-such-command x": .*not found/)
})

test("a quiet command leaves nothing in the log", async () => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const { data, attempt } = await drivers.run("execer", {
    script: "echo secret",
    ending: "wait",
    options: { quiet: true },
  })
  expect(data).toMatchObject({ stdout: "secret\n" })
  expect(attempt.lines).toEqual([])
})

test("a background process that holds the output open does not hold up ctx.exec", async () => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const { success, data } = await drivers.run("execer", { script: "sleep 600 & echo done", ending: "wait" })
  expect(success).toBe(true)
  expect(data).toMatchObject({ stdout: "done\n" })
})

test("children do not inherit what turns the executable into Bun", async () => {
  process.env["BUN_BE_BUN"] = "1"
  try {
    await using drivers = await openDrivers({ "execer.ts": execer })
    const { data } = await drivers.run("execer", {
      script: "echo [$BUN_BE_BUN] [$A]",
      ending: "wait",
      options: { env: { A: "1" } },
    })
    expect(data).toMatchObject({ stdout: "[] [1]\n" })
  } finally {
    delete process.env["BUN_BE_BUN"]
  }
})

test("a million lines pass through without being held in memory", async () => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  let lines = 0
  let last = ""
  let peak = 0
  const before = process.memoryUsage.rss()
  const attempt = drivers.attempt("execer", {
    input: { script: "seq 1000000", ending: "wait" },
    log: async (batch) => {
      lines += batch.length
      last = batch.at(-1)?.message ?? last
      peak = Math.max(peak, process.memoryUsage.rss() - before)
      await Bun.sleep(0)
    },
  })
  expect((await attempt.result).success).toBe(true)
  expect(lines).toBe(1_000_000)
  expect(last).toBe("1000000")
  expect(peak).toBeLessThan(300 * 1024 * 1024)
}, 30_000)

test("a command may open its outputs by name", async () => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const script = "echo out > /dev/stdout; echo err > /dev/stderr; echo both | tee /dev/stderr"
  const { data, attempt } = await drivers.run("execer", { script, ending: "wait" })
  expect(data).toEqual({ exitCode: 0, stdout: "out\nboth\n", stderr: "err\nboth\n" })
  expect(attempt.messages("stderr")).toEqual(["err", "both"])
})

test("commands leave no file open, also where they do not start or leave a process behind", async () => {
  await using drivers = await openDrivers({ "execer.ts": execer })
  const openFiles = () => readdirSync("/proc/self/fd").length
  const runAll = async () => {
    await drivers.run("execer", { script: "echo one", ending: "wait" })
    await drivers.run("execer", { script: "sleep 600 & echo two", ending: "wait" })
    await drivers.run("execer", { script: "true", ending: "wait", options: { cwd: "nowhere" } })
    await drivers.run("shell", { commands: [["no-such-command"]] })
  }
  await runAll()
  const before = openFiles()
  for (let round = 0; round < 5; round++) await runAll()
  await until("they are closed", () => openFiles() <= before)
})
