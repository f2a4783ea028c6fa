import { expect, test } from "bun:test"
import { openDrivers } from "./driver-rig.ts"

const paying = `
  export default {
    probe(ctx) {
      if (ctx.input.answer === "throw") throw new Error("the bank is closed")
      if (ctx.input.answer === "exit") process.exit(3)
      if (ctx.input.answer === "nonsense") return { success: "perhaps" }
      return ctx.input.answer === "nothing" ? undefined : { success: ctx.input.answer === "yes", message: ctx.token }
    },
    reconcile() { return { success: true, message: "paid again" } },
  }`

test.each([
  ["yes", true, true],
  ["no", false, true],
  ["nothing", false, undefined],
  ["nonsense", false, undefined],
  ["throw", false, undefined],
  ["exit", false, undefined],
])("a probe that answers %j has success %p and counts as an answer: %p", async (answer, success, probed) => {
  await using drivers = await openDrivers({ "pay.js": paying })
  const result = await drivers.attempt("pay", { input: { answer }, probing: true }).result
  expect([result.success, result.probed]).toEqual([success, probed as true | undefined])
})

test("a driver without a probe cannot tell, and does nothing", async () => {
  await using drivers = await openDrivers({
    "pay.js": "export default { reconcile() { throw new Error('twice') } }",
  })
  const result = await drivers.attempt("pay", { probing: true }).result
  expect(result).toEqual({ success: false, message: "The driver has no probe" })
})
