import { describe, expect, test } from "bun:test"
import type { Json } from "../../src/model/json.ts"
import { compileSchema } from "../../src/model/json-schema.ts"

async function faultsOf(schema: { readonly [key: string]: Json }, value: Json) {
  const compiled = await compileSchema(schema)
  return "check" in compiled ? compiled.check(value, "/spec").faults : compiled.faults
}

describe("a schema", () => {
  test.each([
    ["http://json-schema.org/draft-04/schema#"],
    ["http://json-schema.org/draft-07/schema#"],
    ["https://json-schema.org/draft/2020-12/schema"],
  ])("may refer to itself as a whole (%s)", async ($schema) => {
    const tree = {
      $schema,
      required: ["name"],
      properties: { name: { type: "string" }, children: { items: { $ref: "#" } } },
    }
    expect(await faultsOf(tree, { name: "a", children: [{ name: "b", children: [] }] })).toEqual([])
    expect(await faultsOf(tree, { name: "a", children: [{ name: "b" }, {}] })).toEqual([
      { message: 'Expected the field "name"', path: "/spec/children/1/name" },
    ])
  })

  test("may have fields with the names of what every object of the language has", async () => {
    const properties = { constructor: { type: "string" } }
    expect(await faultsOf({ properties }, {})).toEqual([])
    expect(await faultsOf({ required: ["toString"] }, {})).toEqual([
      { message: 'Expected the field "toString"', path: "/spec/toString" },
    ])
  })
})
