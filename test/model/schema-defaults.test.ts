import { describe, expect, test } from "bun:test"
import type { Json } from "../../src/model/json.ts"
import { compileSchema } from "../../src/model/json-schema.ts"

const drafts = [
  ["draft 4", "http://json-schema.org/draft-04/schema#"],
  ["draft 7", "http://json-schema.org/draft-07/schema#"],
  ["draft 2020-12", "https://json-schema.org/draft/2020-12/schema"],
] as const

async function checked(schema: { readonly [key: string]: Json }, value: Json) {
  const compiled = await compileSchema(schema)
  if (!("check" in compiled)) throw new Error(JSON.stringify(compiled.faults))
  return compiled.check(value, "/spec")
}

describe.each(drafts)("defaults in a schema of %s", (_, $schema) => {
  const port = { type: "integer", maximum: 65_535 }
  const schema = {
    $schema,
    type: "object",
    required: ["replicas", "image"],
    definitions: { port },
    properties: {
      replicas: { type: "integer", default: 1 },
      image: { type: "string" },
      labels: { type: "object", default: {}, properties: { team: { default: "core" } } },
      ports: { items: { properties: { number: port, protocol: { default: "tcp" } } } },
      admin: { $ref: "#/definitions/port", default: 9_000 },
    },
    allOf: [{ properties: { "a/b %": { type: "boolean", default: false } } }],
  }

  test("are the values of fields that are not there, and of no others", async () => {
    const sent = { image: "shop", labels: { team: null }, ports: [{ number: 1 }, { protocol: "udp" }] }
    const before = structuredClone(sent)
    expect(await checked(schema, sent)).toEqual({
      faults: [],
      value: {
        image: "shop",
        labels: { team: null },
        ports: [{ number: 1, protocol: "tcp" }, { protocol: "udp" }],
        replicas: 1,
        admin: 9_000,
        "a/b %": false,
      },
    })
    expect(sent).toEqual(before)
  })

  test("are filled in too, where they have fields", async () => {
    const { value } = await checked(schema, { image: "shop" })
    expect(value).toMatchObject({ labels: { team: "core" } })
  })

  test("do not stand for a field that has none", async () => {
    const { faults } = await checked(schema, {})
    expect(faults).toEqual([{ message: 'Expected the field "image"', path: "/spec/image" }])
  })

  test("that are not valid where they stand are faults of the schema, with their places", async () => {
    const properties = {
      ...schema.properties,
      replicas: { type: "integer", default: "one" },
      admin: { $ref: "#/definitions/port", default: 70_000 },
      ports: { items: { properties: { "a/b": { additionalProperties: false, default: { c: 1 } } } } },
    }
    const id = $schema.includes("04") ? "id" : "$id"
    for (const named of [{}, { [id]: "https://shop.example/app" }]) {
      expect(await compileSchema({ ...schema, ...named, properties })).toEqual({
        faults: [
          {
            message: "The default does not fit: Expected integer, found string",
            path: "/schema/properties/replicas/default",
          },
          {
            message: "The default does not fit: Expected to be <= 65535",
            path: "/schema/properties/admin/default",
          },
          {
            message: 'The default does not fit: The field "c" is not allowed',
            path: "/schema/properties/ports/items/properties/a~1b/default/c",
          },
        ],
      })
    }
  })
})

describe("a default", () => {
  test("behind a reference or in a choice fills in nothing, so that one within itself has an end", async () => {
    const schema = {
      properties: { child: { $ref: "#", default: {} } },
      anyOf: [{ properties: { kind: { default: "a" } }, required: ["kind"] }, {}],
    }
    expect(await checked(schema, {})).toEqual({ faults: [], value: { child: {} } })
  })

  test("that its pattern takes too long for is a fault of the schema", async () => {
    const schema = { properties: { tag: { pattern: "^(a+)+$", default: `${"a".repeat(40)}b` } } }
    expect(await compileSchema(schema)).toEqual({
      faults: [
        {
          message: "The default does not fit: The pattern ^(a+)+$ takes too long on this value",
          path: "/schema",
        },
      ],
    })
  })

  test("of a field that has the name of something every object has is filled in", async () => {
    const schema = { properties: { constructor: { type: "string", default: "Lotus" } } }
    expect(await checked(schema, {})).toEqual({ faults: [], value: { constructor: "Lotus" } })
  })
})
