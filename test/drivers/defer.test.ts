import { expect, test } from "bun:test"
import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { JsonObject } from "../../src/model/json.ts"
import { until } from "../rig/until.ts"
import { openDrivers } from "./driver-rig.ts"

/** A place where deferred work is written down when the test says so. */
function ledger() {
  const asked: (readonly [string, JsonObject])[] = []
  const answers: PromiseWithResolvers<void>[] = []
  const defer: Attempt["defer"] = (driver, input) => {
    asked.push([driver, input])
    const answer = Promise.withResolvers<void>()
    answers.push(answer)
    return answer.promise
  }
  return {
    asked,
    defer,
    keep: () => answers.shift()?.resolve(),
    refuse: (m: string) => answers.shift()?.reject(new Error(m)),
  }
}

const making = `
export default { async reconcile(ctx) {
  await ctx.defer("delete-disk", { disk: "d-1", size: 3 })
  ctx.log("written down")
  await ctx.defer("delete-disk")
  return { success: true, message: "made" }
} }`

test("ctx.defer resolves when the work is written down, and not sooner", async () => {
  await using drivers = await openDrivers({
    "make.js": making,
    "other.js": "export default { reconcile() {} }",
  })
  const { asked, defer, keep } = ledger()
  const attempt = drivers.attempt("make", { defer })
  await until("the first is asked for", () => asked.length === 1)
  // A whole other attempt later, the driver still waits.
  await drivers.run("other")
  expect([asked, attempt.messages()]).toEqual([[["delete-disk", { disk: "d-1", size: 3 }]], []])
  keep()
  await attempt.line("written down")
  await until("the second is asked for", () => asked.length === 2)
  keep()
  expect(await attempt.result).toEqual({ success: true, message: "made" })
  expect(asked[1]).toEqual(["delete-disk", {}])
})

test("work that cannot be written down is an error in the driver's hands", async () => {
  await using drivers = await openDrivers({
    "careless.js": making,
    "careful.js": `export default { async reconcile(ctx) {
      const reason = await ctx.defer("undo", {}).catch((error) => error.message)
      return { success: true, message: "made nothing: " + reason }
    } }`,
  })
  const defer = () => Promise.reject(new Error("no host has the driver"))
  const [careless, careful] = [drivers.attempt("careless", { defer }), drivers.attempt("careful", { defer })]
  expect(await careless.result).toEqual({ success: false, message: "no host has the driver" })
  expect(await careful.result).toEqual({ success: true, message: "made nothing: no host has the driver" })
})

const forgetful = `
export default { async reconcile(ctx) {
  ctx.defer("undo", { n: 1 })
  return { success: true, message: "made" }
} }`

test("an attempt that did not wait for ctx.defer ends when the work is written down", async () => {
  await using drivers = await openDrivers({
    "forgetful.js": forgetful,
    "other.js": "export default { reconcile() {} }",
  })
  const { asked, defer, keep } = ledger()
  const attempt = drivers.attempt("forgetful", { defer })
  await until("it is asked for", () => asked.length === 1)
  await drivers.run("other")
  expect(Bun.peek.status(attempt.result)).toBe("pending")
  keep()
  expect(await attempt.result).toEqual({ success: true, message: "made" })
})

test("an attempt that did not wait for ctx.defer fails when the work cannot be written down", async () => {
  await using drivers = await openDrivers({ "forgetful.js": forgetful })
  const { asked, defer, refuse } = ledger()
  const attempt = drivers.attempt("forgetful", { defer })
  await until("it is asked for", () => asked.length === 1)
  refuse("the store is gone")
  expect(await attempt.result).toEqual({ success: false, message: "the store is gone" })
  expect(await drivers.attempt("forgetful", { defer: async () => {} }).result).toMatchObject({
    success: true,
  })
})

test("an attempt that is ended settles after what it has deferred", async () => {
  await using drivers = await openDrivers({
    "hang.js": `export default { async reconcile(ctx) { ctx.defer("undo"); return new Promise(() => {}) } }`,
    "other.js": "export default { reconcile() {} }",
  })
  const { asked, defer, keep } = ledger()
  const attempt = drivers.attempt("hang", { defer })
  await until("it is asked for", () => asked.length === 1)
  attempt.abort("took too long", 1)
  await drivers.run("other")
  expect(Bun.peek.status(attempt.result)).toBe("pending")
  keep()
  expect(await attempt.result).toEqual({ success: false, message: "took too long" })
})

test("nothing is deferred any more once the attempt was aborted or has ended", async () => {
  await using drivers = await openDrivers({
    "late.js": `
let ctxBefore
export default { async reconcile(ctx) {
  if (ctx.input.look) return { success: true, data: await ctxBefore.defer("undo").catch((error) => error.message) }
  ctxBefore = ctx
  ctx.log("starts")
  await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve))
  ctx.log(await ctx.defer("undo").catch((error) => error.message))
} }`,
  })
  const { asked, defer } = ledger()
  const attempt = drivers.attempt("late", { defer })
  await attempt.line("starts")
  attempt.abort()
  await attempt.result
  expect(attempt.messages()).toEqual(["starts", 'Cannot defer "undo": the attempt is over'])
  const after = await drivers.attempt("late", { defer, input: { look: true } }).result
  expect(after.data).toBe('Cannot defer "undo": the attempt is over')
  expect(asked).toEqual([])
})

test.each([
  ['ctx.defer("no name!")', 'and was given "no name!"'],
  ["ctx.defer(undefined)", "ctx.defer takes a driver's name"],
  ['ctx.defer("undo", [1])', "ctx.defer takes an object as the driver's input"],
  ['ctx.defer("undo", { f() {} })', "ctx.defer was given an input that is not JSON: input.f is a function"],
])("%s is refused with words for the author", async (call, message) => {
  await using drivers = await openDrivers({
    "d.js": `export default { async reconcile(ctx) { await ${call} } }`,
  })
  const { asked, defer } = ledger()
  const result = await drivers.attempt("d", { defer }).result
  expect([result.success, asked]).toEqual([false, []])
  expect(result.message).toContain(message)
})
