import { expect, test } from "bun:test"
import { openDrivers } from "./driver-rig.ts"

const checking = `
import { defineDriver } from "conveyor"
import * as v from ${JSON.stringify(Bun.resolveSync("valibot", import.meta.dir))}
export default defineDriver({
  output: v.object({ commit: v.pipe(v.string(), v.regex(/^[0-9a-f]+$/, "Expected hex")), tags: v.optional(v.array(v.string()), []) }),
  probe: ({ input }) => input.result,
  reconcile: ({ input }) => input.result,
})
`

test("a success whose data passes the driver's output has what the schema makes of it", async () => {
  await using drivers = await openDrivers({ "d.ts": checking })
  const input = { result: { success: true, message: "ok", data: { commit: "0a", more: 1 } } }
  const checked = { success: true, message: "ok", data: { commit: "0a", tags: [] } }
  expect(await drivers.attempt("d", { input }).result).toEqual(checked)
  expect(await drivers.attempt("d", { input, probing: true }).result).toEqual({ ...checked, probed: true })
})

test.each([
  [{ commit: "xyz", tags: ["a", 1] }, "data.commit: Expected hex; data.tags.1: Invalid type"],
  [undefined, "data: Invalid type: Expected Object but received undefined"],
])(
  "a success whose data does not pass fails for good, with the path of each fault: %j",
  async (data, faults) => {
    await using drivers = await openDrivers({ "d.ts": checking })
    const input = { result: { success: true, ...(data === undefined ? {} : { data }) } }
    const { success, message, retryable } = await drivers.attempt("d", { input }).result
    expect({ success, retryable }).toEqual({ success: false, retryable: false })
    expect(message).toStartWith(`The driver's output does not validate: ${faults}`)
  },
)

test("a driver that returns nothing has no data for its output either", async () => {
  await using drivers = await openDrivers({ "d.ts": checking })
  expect(await drivers.attempt("d").result).toMatchObject({ success: false, retryable: false })
})

test("a failure's data is not checked", async () => {
  await using drivers = await openDrivers({ "d.ts": checking })
  const result = { success: false, message: "no", data: { commit: 5 } }
  expect(await drivers.attempt("d", { input: { result } }).result).toEqual(result)
})

test("a probe whose data does not pass has not told how the attempt ended", async () => {
  await using drivers = await openDrivers({ "d.ts": checking })
  const input = { result: { success: true, data: {} } }
  const result = await drivers.attempt("d", { input, probing: true }).result
  expect([result.success, result.probed]).toEqual([false, undefined])
})

test("what a schema makes of data must be JSON again", async () => {
  await using drivers = await openDrivers({
    "d.js": `export default {
      output: { "~standard": { version: 1, vendor: "test", validate: () => ({ value: { size: 1n } }) } },
      reconcile: () => ({ success: true, data: { size: 1 } }),
    }`,
  })
  const result = await drivers.attempt("d").result
  expect(result).toEqual({
    success: false,
    message: "The driver returned data that is not JSON: data.size is a BigInt",
  })
})

test("an output that is no schema is a fault of the file", async () => {
  await using drivers = await openDrivers({ "d.js": "export default { output: {}, reconcile() {} }" })
  expect(drivers.host.faults()).toMatchObject([
    { file: "d.js", message: "The driver's `output` must be a Standard Schema (valibot, zod, arktype, …)" },
  ])
})
