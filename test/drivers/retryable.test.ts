import { expect, test } from "bun:test"
import { openDrivers } from "./driver-rig.ts"

/** Fails as its input says. */
const failing = `
import { defineDriver, NotRetryable } from "conveyor"
export default defineDriver({
  input: { "~standard": { version: 1, vendor: "test", validate: (value) =>
    value.how ? { value } : { issues: [{ message: "Expected a way to fail", path: ["how"] }] } } },
  reconcile({ input }) {
    switch (input.how) {
      case "returned": return { success: false, message: "no", retryable: false }
      case "thrown": throw new NotRetryable("no")
      case "any error": throw Object.assign(new Error("no"), { retryable: false })
      case "any object": throw { message: "no", retryable: false }
      case "returned, retryable": return { success: false, message: "no", retryable: true }
      case "thrown, retryable": throw Object.assign(new Error("no"), { retryable: true })
      case "not a boolean": return { success: false, message: "no", retryable: "never" }
      case "success": return { success: true, message: "yes", retryable: false }
    }
  },
})
`

test.each(["returned", "thrown", "any error"])(
  "a failure with retryable: false is told as one that another attempt would repeat: %s",
  async (how) => {
    await using drivers = await openDrivers({ "failing.js": failing })
    const result = await drivers.attempt("failing", { input: { how } }).result
    expect(result).toEqual({ success: false, message: "no", retryable: false })
  },
)

test("anything thrown may say that it is not retryable", async () => {
  await using drivers = await openDrivers({ "failing.js": failing })
  const result = await drivers.attempt("failing", { input: { how: "any object" } }).result
  expect([result.success, result.retryable]).toEqual([false, false])
})

test.each(["returned, retryable", "thrown, retryable"])("any other failure says nothing: %s", async (how) => {
  await using drivers = await openDrivers({ "failing.js": failing })
  const result = await drivers.attempt("failing", { input: { how } }).result
  expect(result).toEqual({ success: false, message: "no" })
})

test("a success has nothing to retry", async () => {
  await using drivers = await openDrivers({ "failing.js": failing })
  const result = await drivers.attempt("failing", { input: { how: "success" } }).result
  expect(result).toEqual({ success: true, message: "yes" })
})

test("a retryable that is no boolean is no driver result", async () => {
  await using drivers = await openDrivers({ "failing.js": failing })
  const { success, message } = await drivers.run("failing", { how: "not a boolean" })
  expect(success).toBe(false)
  expect(message).toContain('The driver returned {"success":false,"message":"no","retryable":"never"}')
})

test("an input that does not validate will not do so at another attempt", async () => {
  await using drivers = await openDrivers({ "failing.js": failing })
  expect(await drivers.attempt("failing").result).toEqual({
    success: false,
    message: "The step's input does not validate: with.how: Expected a way to fail",
    retryable: false,
  })
})

test("the older contract and executables may say it too", async () => {
  await using drivers = await openDrivers({
    "older.js": "module.exports = { Reconcile: () => ({ success: false, message: 'no', retryable: false }) }",
    program: `#!/bin/sh\necho '{ "success": false, "message": "no", "retryable": false }'\nexit 1\n`,
  })
  for (const driver of ["older", "program"]) {
    const result = await drivers.attempt(driver).result
    expect(result).toEqual({ success: false, message: "no", retryable: false })
  }
})

test("what ends an attempt from outside can be tried again, whatever its driver says", async () => {
  await using drivers = await openDrivers({
    "slow.js": `export default { async reconcile(ctx) {
      ctx.log("starts")
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve))
      return { success: false, message: "no", retryable: false }
    } }`,
  })
  const attempt = drivers.attempt("slow")
  await attempt.line("starts")
  attempt.abort("took too long")
  expect(await attempt.result).toEqual({ success: false, message: "took too long" })
})
