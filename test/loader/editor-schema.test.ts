import { beforeAll, expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import Ajv, { type ValidateFunction } from "ajv"
import { parseAllDocuments } from "yaml"
import { shippedDrivers } from "../../src/drivers/shipped.ts"
import { editorSchema } from "../../src/loader/editor-schema.ts"
import type { JsonObject } from "../../src/model/json.ts"

const repository = join(import.meta.dir, "../..")
/** Its own types, a reference to itself, and words that are data and no references. */
const tree: JsonObject = {
  type: "object",
  required: ["root"],
  properties: {
    root: { $ref: "#/$defs/node" },
    size: { type: "integer", default: 1, description: "How large" },
    mode: { enum: ["fast", "safe"] },
    tag: { type: "string", pattern: "^v", not: { $ref: "#/$defs/latest" } },
    either: { oneOf: [{ type: "number" }, { type: "boolean" }] },
  },
  $defs: {
    latest: { const: "v0" },
    node: { type: "object", properties: { next: { $ref: "#/$defs/node" }, size: { type: "integer" } } },
  },
}

let validate: ValidateFunction
beforeAll(async () => {
  const { drivers } = await shippedDrivers()
  const shipped = drivers.map(({ name, schemas }) => ({ name, ...schemas }))
  const schema = editorSchema([...shipped, { name: "tree", inputSchema: tree }, { name: "executable" }])
  validate = new Ajv({ allErrors: true, strict: false, validateFormats: false }).compile(schema)
})

/** The places of what is wrong in the documents of a file, with the word each breaks; what only repeats others left out. */
function faultsIn(text: string): string[] {
  const faults = parseAllDocuments(text).flatMap((document) => {
    validate(document.toJS())
    return (validate.errors ?? [])
      .filter(({ keyword }) => keyword !== "if" && keyword !== "anyOf")
      .map(({ instancePath, keyword }) => `${instancePath} ${keyword}`)
  })
  return [...new Set(faults)]
}

const pipeline = (steps: string, more = "") => `name: p\nresource: app\n${more}\nsteps:\n${steps}`

test("every pipeline that ships has the form editors are told", async () => {
  const files = (await readdir(join(repository, "pipelines"))).filter((file) => file.endsWith(".yaml"))
  expect(files.length).toBeGreaterThan(0)
  for (const file of files) {
    const text = await Bun.file(join(repository, "pipelines", file)).text()
    expect([file, faultsIn(text)]).toEqual([file, []])
  }
})

test.each([
  ["a driver nobody has", pipeline("- { driver: deploy, with: { anything: [1] } }")],
  ["a driver that says nothing of its input", pipeline("- { driver: executable, with: { anything: [1] } }")],
  [
    "an expression for a number",
    pipeline(`- { driver: git, with: { depth: "\${{ resource.spec.depth }}" } }`),
  ],
  ["an expression for a list", pipeline(`- { driver: shell, with: { commands: "\${{ metadata.all }}" } }`)],
  ["an expression in a list", pipeline(`- { driver: shell, with: { commands: [a, "\${{ metadata.b }}"] } }`)],
  ["an expression for a mapping", pipeline(`- { driver: shell, with: { env: "\${{ metadata.env }}" } }`)],
  [
    "an expression in a mapping",
    pipeline(`- { driver: http, with: { headers: { a: "\${{ metadata.a }}" } } }`),
  ],
  [
    "an expression for one of some words",
    pipeline(`- { driver: tree, with: { root: {}, mode: "\${{ event }}" } }`),
  ],
  ["an expression behind a reference", pipeline(`- { driver: tree, with: { root: { next: "\${{ a }}" } } }`)],
  [
    "an expression for one of some types",
    pipeline(`- { driver: tree, with: { root: {}, either: "\${{ a }}" } }`),
  ],
  [
    "an expression in a text with a pattern",
    pipeline(`- { driver: tree, with: { root: {}, tag: "x\${{ a }}" } }`),
  ],
  ["a timeout that is evaluated", pipeline(`- { driver: shell, timeout: "\${{ metadata.t }}" }`)],
  ["cleanup", pipeline("- { driver: shell, ensure: [{ driver: shell }] }", "finally: [{ driver: shell }]")],
  ["a resource definition", "kind: ResourceDefinition\nname: app\nschema: { type: object }"],
  ["a kind that is written out", pipeline("- { driver: shell }", "kind: Pipeline")],
  [
    "both kinds in one file",
    `kind: ResourceDefinition\nname: a\nschema: true\n---\n${pipeline("- { driver: git }")}`,
  ],
])("an editor accepts %s", (_, text) => {
  expect(faultsIn(text)).toEqual([])
})

test.each([
  ["a misspelt field", pipeline("- { driver: shell, whith: {} }"), ["/steps/0 additionalProperties"]],
  [
    "a misspelt input",
    pipeline("- { driver: shell, with: { comands: [] } }"),
    ["/steps/0/with additionalProperties"],
  ],
  [
    "an input of another type",
    pipeline("- { driver: git, with: { depth: all } }"),
    ["/steps/0/with/depth type", "/steps/0/with/depth pattern"],
  ],
  ["an input that is missing", pipeline("- { driver: tree, with: { size: 1 } }"), ["/steps/0/with required"]],
  ["no input where some is needed", pipeline("- { driver: tree }"), ["/steps/0 required"]],
  [
    "a wrong one behind a reference",
    pipeline("- { driver: tree, with: { root: { next: { size: a } } } }"),
    ["/steps/0/with/root/next/size type", "/steps/0/with/root/next/size pattern"],
  ],
  [
    "what a reference inside refuses",
    pipeline("- { driver: tree, with: { root: {}, tag: v0 } }"),
    ["/steps/0/with/tag not"],
  ],
  [
    "a wrong input of a cleanup step",
    pipeline("- { driver: shell }", "finally: [{ driver: git, with: { depth: 0 } }]"),
    ["/finally/0/with/depth minimum"],
  ],
  [
    "a duration that is none",
    pipeline("- { driver: shell, queueTimeout: 5 minutes }"),
    ["/steps/0/queueTimeout pattern"],
  ],
  ["a name that is none", pipeline("- { driver: a/b }"), ["/steps/0/driver enum", "/steps/0/driver pattern"]],
  ["a pipeline without steps", "name: p\nresource: app", [" required"]],
  ["a kind there is not", "kind: Pipelines\nname: p", ["/kind enum"]],
  [
    "a field of the other kind",
    "kind: ResourceDefinition\nname: app\nschema: {}\nsteps: []",
    [" additionalProperties"],
  ],
])("an editor marks %s", (_, text, faults) => {
  expect(faultsIn(text)).toEqual(expect.arrayContaining(faults))
})

test("every field of every mapping says what it is for", async () => {
  const untold: string[] = []
  const look = (schema: unknown, path: string): void => {
    if (typeof schema !== "object" || schema === null) return
    const { properties } = schema as { properties?: Record<string, { description?: string }> }
    for (const [field, of] of Object.entries(properties ?? {})) {
      if (of.description === undefined) untold.push(`${path}/${field}`)
    }
    for (const [key, value] of Object.entries(schema)) look(value, `${path}/${key}`)
  }
  const { definitions } = editorSchema([]) as {
    definitions: { pipeline: object; "resource-definition": object }
  }
  look(definitions.pipeline, "")
  look(definitions["resource-definition"], "")
  // They are as plain as can be: the step that is meant, and whether it is optional.
  expect(untold.filter((path) => !/\/needs\//.test(path))).toEqual([])
})
