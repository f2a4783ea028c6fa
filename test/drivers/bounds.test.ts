import { expect, test } from "bun:test"
import { join } from "node:path"
import { until } from "../rig/until.ts"
import { type DriverRig, isAlive, openDrivers } from "./driver-rig.ts"

/* What a driver takes and leaves behind: memory, processes, lines on their way to the log. */

const hoarding = `
import { defineDriver } from "conveyor"
let kept = []
export default defineDriver({
  async reconcile(ctx) {
    const { fault, mebibytes } = ctx.input
    if (fault === "hoard") for (let n = 0; n < mebibytes; n++) kept.push(new Array(131072).fill(n + 0.5))
    if (fault === "grow") for (;;) { kept.push(new Array(131072).fill(Math.random())); await Bun.sleep(1) }
    return { success: true, data: { kept: kept.length } }
  },
})
`

test("a worker whose driver hoards memory makes room for a fresh one, and the host says so", async () => {
  const said: string[] = []
  await using drivers = await openDrivers(
    { "hoarding.ts": hoarding },
    { workerBytesMax: 64 * 1024 * 1024, log: { error: (_, message) => said.push(message), warn: () => {} } },
  )
  const kept: number[] = []
  for (let n = 0; n < 8; n++) {
    const { data } = await drivers.run("hoarding", { fault: "hoard", mebibytes: 20 })
    kept.push((data as { kept: number }).kept)
  }
  // Each holds 20 MiB more than the one before, until there is too much, and then it begins anew.
  const begun = kept.filter((mebibytes) => mebibytes === 20)
  expect(begun.length).toBeGreaterThan(1)
  expect(Math.max(...kept)).toBeLessThan(160)
  expect(said.length).toBeGreaterThanOrEqual(begun.length - 1)
  expect(said[0]).toMatch(
    /^The driver holds \d+ MiB of memory, more than a worker may .*another worker takes/,
  )
})

test("an attempt that takes ever more memory is ended, and its message says why", async () => {
  await using drivers = await openDrivers({ "hoarding.ts": hoarding }, { workerBytesMax: 64 * 1024 * 1024 })
  const { success, message } = await drivers.run("hoarding", { fault: "grow" })
  expect(success).toBe(false)
  expect(message).toMatch(
    /^The driver holds \d+ MiB of memory, more than a worker may .*the attempt was ended$/,
  )
  expect((await drivers.run("hoarding")).data).toEqual({ kept: 0 })
})

const parent = `
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
export default {
  async reconcile(ctx) {
    const { how, end, env } = ctx.input
    const command = ["sleep", "600"]
    const options = env === undefined ? {} : { env: { ...process.env, ...env } }
    const pid = how === "node"
      ? spawn(command[0], command.slice(1), { ...options, detached: true, stdio: "ignore" }).pid
      : Bun.spawn(command, options).pid
    ctx.log("pid " + pid)
    if (end === "exit") { await ctx.log("hoarding"); process.exit(1) }
    if (end === "hang") await new Promise(() => {})
    if (end === "loop") { await ctx.log("looping"); for (;;) {} }
  },
}
`

async function startedBy(drivers: DriverRig, input: Record<string, string | Record<string, string>>) {
  const attempt = drivers.attempt("parent", { input, graceMs: 100 })
  const pid = Number((await attempt.line("pid ")).slice(4))
  return { attempt, pid }
}

/** It runs nothing any more from the moment it is killed; a busy system takes its time to take note of that. */
const gone = (pid: number) => until(`process ${pid} is gone`, async () => !(await isAlive(pid)), 4_000)

test.each([
  ["node", "hang"],
  ["node", "loop"],
  ["node", "exit"],
  ["bun", "hang"],
  ["bun", "exit"],
])(
  "a process that a driver starts by itself (%s) is gone with an attempt that ends by %s",
  async (how, end) => {
    await using drivers = await openDrivers({ "parent.js": parent })
    const { attempt, pid } = await startedBy(drivers, { how, end })
    if (end !== "exit") {
      expect(await isAlive(pid)).toBe(true)
      attempt.abort()
    }
    expect((await attempt.result).success).toBe(false)
    await gone(pid)
  },
)

test.each([["node"], ["bun"]])(
  "a process that a driver starts by itself (%s) lives as long as its worker",
  async (how) => {
    const drivers = await openDrivers({ "parent.js": parent })
    const { attempt, pid } = await startedBy(drivers, { how, env: { OWN: "yes" } })
    expect((await attempt.result).success).toBe(true)
    expect(await isAlive(pid)).toBe(true)
    await drivers[Symbol.asyncDispose]()
    await gone(pid)
  },
)

test("a driver that logs without end and without waiting is held up until its lines are durable", async () => {
  const lines = 100_000
  await using drivers = await openDrivers({
    "chatty.js": `export default { reconcile(ctx) { for (let n = 0; n < ${lines}; n++) ctx.log("line " + n) } }`,
  })
  const gate = Promise.withResolvers<void>()
  let taken = 0
  let isInOrder = true
  const attempt = drivers.attempt("chatty", {
    log: async (batch) => {
      for (const { message } of batch) if (message !== `line ${taken++}`) isInOrder = false
      await gate.promise
    },
  })
  await until("lines come", () => taken > 0)
  // A whole other attempt later no more than it may be ahead has come: it sleeps in its loop.
  const before = await until("it is held up", async () => {
    const seen = taken
    await drivers.run("chatty", {}).catch(() => {})
    return seen === taken ? { seen } : undefined
  })
  expect(before.seen).toBeLessThanOrEqual(10_001)
  gate.resolve()
  expect((await attempt.result).success).toBe(true)
  expect({ taken, isInOrder }).toEqual({ taken: lines, isInOrder: true })
}, 60_000)

test("a driver that logs large lines without waiting is held up sooner", async () => {
  const lines = 100
  await using drivers = await openDrivers({
    "verbose.js": `
import { writeFileSync } from "node:fs"
export default {
  reconcile(ctx) {
    for (let n = 1; n <= ${lines}; n++) {
      ctx.log("x".repeat(1_000_000))
      writeFileSync(ctx.input.progress, String(n))
    }
  },
}`,
    "other.js": "export default { reconcile() {} }",
  })
  const progress = join(drivers.data, "progress")
  const sent = async () => Number(await Bun.file(progress).text())
  const gate = Promise.withResolvers<void>()
  let taken = 0
  const log = async (batch: readonly unknown[]) => {
    taken += batch.length
    await gate.promise
  }
  const attempt = drivers.attempt("verbose", { log, input: { progress } })
  await until("lines come", () => taken > 0)
  await until("it is held up", async () => {
    const before = await sent()
    await drivers.run("other")
    return before === (await sent())
  })
  expect(await sent()).toBeLessThan(10)
  gate.resolve()
  expect((await attempt.result).success).toBe(true)
  expect(taken).toBe(lines)
}, 60_000)
