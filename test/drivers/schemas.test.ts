import { expect, test } from "bun:test"
import { until } from "../rig/until.ts"
import { type DriverRig, openDrivers } from "./driver-rig.ts"

const valibot = JSON.stringify(Bun.resolveSync("valibot", import.meta.dir))

function schemasOf(drivers: DriverRig, name: string) {
  return drivers.host.schemasOf(drivers.hashOf(name))
}

test("a driver's valibot schemas are told as JSON Schema, though it has a valibot of its own", async () => {
  await using drivers = await openDrivers({
    "d.ts": `import { defineDriver } from "conveyor"
import * as v from ${valibot}
export default defineDriver({
  input: v.object({
    text: v.pipe(v.string(), v.description("What to say")),
    times: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1),
  }),
  output: v.object({ said: v.pipe(v.string(), v.transform(Number)) }),
  reconcile: () => ({ success: true, data: { said: "1" } }),
})`,
  })
  expect(schemasOf(drivers, "d")).toEqual({
    inputSchema: {
      type: "object",
      properties: {
        text: { type: "string", description: "What to say" },
        times: { type: "integer", minimum: 1, default: 1 },
      },
      required: ["text"],
    },
    outputSchema: { type: "object", properties: { said: { type: "string" } }, required: ["said"] },
  })
})

test("a driver that reads no results says so, and one that says neither yes nor no is a fault", async () => {
  await using drivers = await openDrivers({
    "reads.js": "export default { readsResults: true, reconcile() {} }",
    "not.js": "export default { readsResults: false, reconcile() {} }",
    "perhaps.js": "export default { readsResults: 'perhaps', reconcile() {} }",
  })
  expect([schemasOf(drivers, "reads"), schemasOf(drivers, "not")]).toEqual([{}, { readsResults: false }])
  expect(drivers.host.faults()).toMatchObject([
    { file: "perhaps.js", message: "The driver's `readsResults` must be true or false" },
  ])
})

test("what JSON Schema cannot say is let through by the schema that is told", async () => {
  await using drivers = await openDrivers({
    "d.ts": `import * as v from ${valibot}
const input = v.object({
  any: v.custom(() => true),
  checked: v.pipe(v.string(), v.check(() => false)),
  flags: v.pipe(v.string(), v.regex(/^a$/i)),
  date: v.date(),
})
export default { input, reconcile() {} }`,
  })
  const { inputSchema } = schemasOf(drivers, "d")
  expect(inputSchema?.["properties"]).toEqual({
    any: {},
    checked: { type: "string" },
    flags: { type: "string" },
    date: {},
  })
})

/** A library with the Standard JSON Schema extension. */
const extended = (jsonSchema: string) => `
export default {
  input: { "~standard": { version: 1, vendor: "own", validate: (value) => ({ value }), jsonSchema: ${jsonSchema} } },
  reconcile() {},
}`

test("a library that writes JSON Schema itself is asked for it", async () => {
  await using drivers = await openDrivers({
    "d.js": extended("{ input: ({ target }) => ({ $schema: 'x', title: target }), output: () => ({}) }"),
  })
  expect(schemasOf(drivers, "d")).toEqual({ inputSchema: { title: "draft-07" } })
})

test.each([
  ["throws", "{ input() { throw new Error('no') } }"],
  ["is no object", "{ input: () => 'text' }"],
  ["is no JSON", "{ input: () => ({ f() {} }) }"],
  ["is huge", "{ input: () => ({ title: 'x'.repeat(100_000) }) }"],
  ["is not there", "undefined"],
])("a driver serves without a JSON Schema when it %s", async (_, jsonSchema) => {
  await using drivers = await openDrivers({ "d.js": extended(jsonSchema) })
  expect(schemasOf(drivers, "d")).toEqual({})
  expect(await drivers.run("d")).toMatchObject({ success: true })
})

test("a changed driver's schemas are those of its new content", async () => {
  const source = (field: string) => `import * as v from ${valibot}
export default { input: v.object({ ${field}: v.string() }), reconcile() {} }`
  await using drivers = await openDrivers({ "d.ts": source("one") })
  const before = drivers.hashOf("d")
  await drivers.write("d.ts", source("two"))
  await until("the new one serves", () => drivers.hashOf("d") !== before)
  expect(schemasOf(drivers, "d").inputSchema).toMatchObject({ required: ["two"] })
})

test("executables and drivers of the older contract have none", async () => {
  await using drivers = await openDrivers({
    program: "#!/bin/sh\n",
    "older.js": "module.exports = { Reconcile() {} }",
  })
  expect([schemasOf(drivers, "program"), schemasOf(drivers, "older")]).toEqual([{}, {}])
})

test("every driver that ships tells what it takes and gives, each input with a description", async () => {
  await using drivers = await openDrivers()
  for (const { name } of drivers.host.list()) {
    const { inputSchema, outputSchema } = schemasOf(drivers, name)
    const inputs = Object.entries(inputSchema?.["properties"] ?? {})
    expect(inputs.length).toBeGreaterThan(0)
    for (const [input, schema] of inputs) {
      expect([name, input, typeof (schema as { description?: string }).description]).toEqual([
        name,
        input,
        "string",
      ])
    }
    expect([name, outputSchema?.["type"]]).toEqual([name, "object"])
  }
})
