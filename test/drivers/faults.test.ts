import { expect, test } from "bun:test"
import { until } from "../rig/until.ts"
import { openDrivers } from "./driver-rig.ts"

/** A driver that does what the test names, so that one bundle serves all tests. */
const misbehaving = `
import { defineDriver } from "conveyor"
export default defineDriver({
  async reconcile(ctx) {
    await ctx.log("starts")
    switch (ctx.input.fault) {
      case "loop": for (;;) {}
      case "timer": setTimeout(() => { throw new Error("late") }, 1); return new Promise(() => {})
      case "rejection": Promise.reject(new Error("forgotten")); return new Promise(() => {})
      case "exit": ctx.log("before the exit"); process.exit(7)
      case "throw": throw new Error("no such image")
      case "string": throw "just a string"
      case "misspelt": return { sucess: true }
      case "number": return 42
      case "bigint": return { success: true, data: { size: 10n } }
      case "function": return { success: true, data: { list: [1, () => {}] } }
      case "cycle": { const data = {}; data.self = data; return { success: true, data } }
      case "message": return { success: true, message: 5 }
      case "hang": return new Promise(() => {})
      case "heed": return new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve({ success: true })))
    }
  },
})
`

test("a driver that returns nothing has succeeded", async () => {
  await using drivers = await openDrivers({ "bad.js": misbehaving })
  const { success, message } = await drivers.run("bad")
  expect({ success, message }).toEqual({ success: true, message: "" })
})

test("a driver that loops forever ends at its abort, and other attempts of it are not affected", async () => {
  await using drivers = await openDrivers({ "bad.js": misbehaving })
  const looping = drivers.attempt("bad", { input: { fault: "loop" }, graceMs: 50 })
  await looping.line("starts")
  const others = await Promise.all(Array.from({ length: 20 }, () => drivers.run("bad")))
  expect(others.every(({ success }) => success)).toBe(true)
  looping.abort("took over 1 s")
  expect(await looping.result).toEqual({ success: false, message: "took over 1 s" })
  expect((await drivers.run("bad")).success).toBe(true)
})

test("a driver that loops forever gets no grace period, for it cannot hear of its abort", async () => {
  await using drivers = await openDrivers({ "bad.js": misbehaving })
  const looping = drivers.attempt("bad", { input: { fault: "loop" }, graceMs: 600_000 })
  await looping.line("starts")
  looping.abort("took over 1 s")
  expect((await looping.result).message).toBe("took over 1 s")
  await looping.line("The driver blocks its thread and cannot be told to end; the thread is ended")
})

test.each([
  ["exit", "The driver ended its worker with exit code 7 (process.exit or a crash)"],
  ["throw", "no such image"],
  ["string", "just a string"],
  [
    "misspelt",
    'The driver returned {"sucess":true}; expected nothing or { success: boolean, message?: string, data?: JSON, retryable?: boolean }',
  ],
  [
    "number",
    "The driver returned 42; expected nothing or { success: boolean, message?: string, data?: JSON, retryable?: boolean }",
  ],
  ["bigint", "The driver returned data that is not JSON: data.size is a BigInt"],
  ["function", "The driver returned data that is not JSON: data.list[1] is a function"],
  ["cycle", "The driver returned data that is not JSON: it is nested over 100 levels deep"],
  [
    "message",
    'The driver returned {"success":true,"message":5}; expected nothing or { success: boolean, message?: string, data?: JSON, retryable?: boolean }',
  ],
])("a driver whose fault is %s fails its attempt and says so", async (fault, message) => {
  await using drivers = await openDrivers({ "bad.js": misbehaving })
  const result = await drivers.run("bad", { fault })
  expect({ success: result.success, message: result.message }).toEqual({ success: false, message })
  expect((await drivers.run("bad")).success).toBe(true)
})

test.each([
  ["timer", "late"],
  ["rejection", "forgotten"],
])("an error that nobody catches (%s) fails the attempt it belongs to", async (fault, error) => {
  await using drivers = await openDrivers({ "bad.js": misbehaving })
  const { success, message, attempt } = await drivers.run("bad", { fault })
  expect(success).toBe(false)
  expect(message).toMatch(new RegExp(`^Nothing caught what the driver (threw|rejected): ${error}$`))
  expect(attempt.messages().join("\n")).toMatch(/bad\.js:\d+/)
  expect((await drivers.run("bad")).success).toBe(true)
})

test("what a driver logged before it called process.exit is in the log", async () => {
  await using drivers = await openDrivers({ "bad.js": misbehaving })
  const { attempt } = await drivers.run("bad", { fault: "exit" })
  expect(attempt.messages()).toEqual(["starts", "before the exit"])
})

test("a thrown error's stack is in the log, with the line of the driver's source", async () => {
  await using drivers = await openDrivers({
    "bad.ts": `import { defineDriver } from "conveyor"\nexport default defineDriver({\n  reconcile() {\n    throw new Error("no")\n  },\n})\n`,
  })
  const { attempt } = await drivers.run("bad")
  expect(attempt.messages().join("\n")).toMatch(/Error: no\n.*bad\.ts:4/)
})

test("a driver that heeds ctx.signal ends at once, and the abort's message is the result's", async () => {
  await using drivers = await openDrivers({ "bad.js": misbehaving })
  const attempt = drivers.attempt("bad", { input: { fault: "heed" }, graceMs: 600_000 })
  await attempt.line("starts")
  attempt.abort("cancelled by someone")
  expect(await attempt.result).toEqual({ success: false, message: "cancelled by someone" })
})

test("disposing the host ends attempts that still run", async () => {
  const drivers = await openDrivers({ "bad.js": misbehaving })
  const attempt = drivers.attempt("bad", { input: { fault: "hang" }, graceMs: 20 })
  await attempt.line("starts")
  await drivers[Symbol.asyncDispose]()
  expect(await attempt.result).toEqual({ success: false, message: "The host is stopping" })
})

test("what a driver prints goes to its attempt's log", async () => {
  await using drivers = await openDrivers({
    "loud.js": `export default { reconcile() { console.log("a", { b: 1 }); console.error("c"); process.stdout.write("d\\n") } }`,
  })
  const { attempt } = await drivers.run("loud")
  expect(attempt.messages("log")).toEqual(["a { b: 1 }", "c", "d"])
})

test("what a driver prints when its attempt has ended is not in the log of the next one", async () => {
  await using drivers = await openDrivers({
    "late.js": `
const first = Promise.withResolvers()
export default {
  async reconcile(ctx) {
    if (ctx.input.first) return void setTimeout(() => { console.log("late"); process.stdout.write("late"); first.resolve() }, 20)
    await first.promise
    console.log("mine")
  },
}`,
  })
  await drivers.run("late", { first: true })
  const { attempt } = await drivers.run("late")
  expect(attempt.messages()).toEqual(["mine"])
})

test("a hundred thousand lines arrive in order", async () => {
  await using drivers = await openDrivers({
    "chatty.js": `export default { async reconcile(ctx) { for (let n = 0; n < 100000; n++) ctx.log("line " + n) } }`,
  })
  const { attempt } = await drivers.run("chatty")
  expect(attempt.lines.length).toBe(100_000)
  expect(attempt.messages().every((message, n) => message === `line ${n}`)).toBe(true)
})

test("the promise of ctx.log resolves when the line is durable", async () => {
  await using drivers = await openDrivers({
    "careful.js": `export default { async reconcile(ctx) { await ctx.log("one"); ctx.log("two") } }`,
  })
  const durable = Promise.withResolvers<void>()
  const batches: string[][] = []
  const attempt = drivers.attempt("careful", {
    log: (lines) => {
      batches.push(lines.map(({ message }) => message))
      return durable.promise
    },
  })
  await until("the first line was handed over", () => batches.length > 0)
  // A whole other attempt later, the first one still waits.
  await drivers.run("careful")
  expect(batches).toEqual([["one"]])
  durable.resolve()
  await attempt.result
  expect(batches).toEqual([["one"], ["two"]])
})
