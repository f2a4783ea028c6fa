import { describe, expect, test } from "bun:test"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import fc from "fast-check"
import { driverInputs } from "../../src/drivers/driver-inputs.ts"
import { readModule } from "../../src/drivers/loaded-module.ts"
import { shippedNames } from "../../src/drivers/shipped.ts"
import { checkFiles } from "../../src/loader/check.ts"
import { createInputChecks, type DriverInput } from "../../src/loader/input-checks.ts"
import { parseFile } from "../../src/loader/parse.ts"
import { hasExpressions } from "../../src/model/expression.ts"
import { describeFault } from "../../src/model/fault.ts"
import type { Json, JsonObject } from "../../src/model/json.ts"
import { tempFolder } from "../rig/temp-folder.ts"

const certain = (name: string, inputSchema: JsonObject): DriverInput => ({
  name,
  inputSchema,
  isCertain: true,
})

const deploy = certain("deploy", {
  type: "object",
  properties: {
    target: { type: "string", enum: ["staging", "production"] },
    replicas: { type: "integer", minimum: 1 },
    when: { anyOf: [{ type: "number" }, { type: "array", items: { type: "string", pattern: "^at " } }] },
    notify: { type: "object", properties: { mail: { type: "string" } }, additionalProperties: false },
  },
  required: ["target"],
  additionalProperties: false,
})

/** What is said of the input of the one step of a pipeline, in the form of a terminal. */
async function said(input: Json, { driver = deploy }: { readonly driver?: DriverInput } = {}) {
  const source = { name: "a", resource: "app", steps: [{ driver: driver.name, with: input }] }
  const { inputFaults = [] } = await parseFile("a.json", JSON.stringify(source), {
    inputs: createInputChecks([driver]),
  })
  return inputFaults.map(({ fault: { file, line, column, ...fault } }) =>
    [fault.severity ?? "error", describeFault({ ...fault, path: "" })].join(": "),
  )
}

describe("the input of a step", () => {
  test("is told with the places of what is wrong, in steps, in what they ensure, and in finally", async () => {
    const text = `name: a
resource: app
steps:
  - id: ship
    driver: deploy
    with: { target: staging, replcas: 2 }
    ensure:
      - driver: deploy
        with:
          target: production
          replicas: many
  - driver: deploy
    with: { target: staging }
    ensure: { driver: deploy, with: { taget: staging } }
finally:
  - driver: deploy
`
    const { declarations, faults, inputFaults } = await parseFile("a.yaml", text, {
      inputs: createInputChecks([deploy]),
    })
    expect(
      (inputFaults ?? []).map(({ step, fault }) => [step, describeFault(fault), fault.severity]),
    ).toEqual([
      [
        "ship",
        'a.yaml:6:30: The driver "deploy" has no input "replcas" (did you mean "replicas"?)',
        undefined,
      ],
      [
        "ship.ensure",
        'a.yaml:11:21: The driver "deploy" may refuse this: Expected integer, found string',
        "warning",
      ],
      [
        "deploy.ensure",
        'a.yaml:14:39: The driver "deploy" has no input "taget" (did you mean "target"?)',
        undefined,
      ],
      ["deploy-2", 'a.yaml:16:5: The driver "deploy" needs the input "target", which is missing', undefined],
    ])
    // A host takes the file all the same.
    expect([declarations.length, faults]).toEqual([1, []])
  })

  test.each<[Json, string[]]>([
    [{ target: "staging", replicas: 1, when: ["at 9"], notify: { mail: "a@b" } }, []],
    [{}, ['error: The driver "deploy" needs the input "target", which is missing']],
    [
      { target: "staging", branch: "main" },
      ['error: The driver "deploy" has no input "branch"; there are target, replicas, when, notify'],
    ],
    // One slip is one fault.
    [{ tagret: "staging" }, ['error: The driver "deploy" has no input "tagret" (did you mean "target"?)']],
    [
      { target: "stagin" },
      [
        'warning: The driver "deploy" may refuse this: Expected one of "staging", "production" (did you mean "staging"?)',
      ],
    ],
    [
      { target: 5 },
      ['warning: The driver "deploy" may refuse this: Expected one of "staging", "production"'],
    ],
    [
      { target: "staging", replicas: 0 },
      ['warning: The driver "deploy" may refuse this: Expected to be >= 1'],
    ],
    [
      { target: "staging", when: true },
      ['warning: The driver "deploy" may refuse this: Expected number or array, found boolean'],
    ],
    // The alternative that came nearest is the one that is spoken of.
    [
      { target: "staging", when: ["at 9", "noon"] },
      ['warning: The driver "deploy" may refuse this: Expected to match pattern "^at "'],
    ],
    [
      { target: "staging", notify: { mial: "a@b" } },
      [
        'warning: The driver "deploy" may refuse this: The field "mial" is not allowed (did you mean "mail"?)',
      ],
    ],
  ])("%j is said to be wrong where it is, and nowhere else", async (input, expected) => {
    expect(await said(input)).toEqual(expected)
  })

  test.each<[Json]>([
    [{ target: `\${{ resource.name }}` }],
    [{ target: "staging", replicas: `\${{ 2 }}`, when: `at \${{ resource.name }}` }],
    [{ target: "staging", when: [`\${{ resource.name }}`, "at 9"], notify: `\${{ resource.spec }}` }],
    [{ target: "staging", notify: { mail: `\${{ resource.name }}` } }],
  ])("%j has no fault: what is or holds an expression has a value later", async (input) => {
    expect(await said(input)).toEqual([])
  })

  test("beside an expression is checked", async () => {
    expect(await said({ target: `\${{ resource.name }}`, when: [`\${{ resource.name }}`, 9], x: 1 })).toEqual(
      [
        'warning: The driver "deploy" may refuse this: Expected string, found number',
        'error: The driver "deploy" has no input "x"; there are target, replicas, when, notify',
      ],
    )
  })

  test("gets warnings only where its driver may be another one", async () => {
    const driver = { ...deploy, isCertain: false }
    expect(await said({ tagret: "staging" }, { driver })).toEqual([
      'warning: The driver "deploy" has no input "tagret" (did you mean "target"?)',
    ])
    expect(await said({}, { driver })).toEqual([
      'warning: The driver "deploy" needs the input "target", which is missing',
    ])
  })

  test("may have any name where the schema does not refuse it, and gets a warning where one of two shapes does", async () => {
    const open = certain("open", { type: "object", properties: { a: { type: "string" } } })
    expect(await said({ b: 1 }, { driver: open })).toEqual([])
    const either = certain("either", {
      anyOf: [
        { type: "object", required: ["a"] },
        { type: "object", required: ["b"] },
      ],
    })
    expect(await said({ a: 1 }, { driver: either })).toEqual([])
    for (const line of await said({}, { driver: either })) expect(line).toStartWith("warning: ")
    expect((await said({}, { driver: either })).length).toBe(1)
  })

  test("is checked by schemas that refer to parts of themselves", async () => {
    const tree = certain("tree", {
      $ref: "#/definitions/node",
      definitions: {
        node: {
          type: "object",
          properties: { size: { type: "number" }, inner: { $ref: "#/definitions/node" } },
          required: ["size"],
        },
      },
    })
    expect(
      await said({ size: 1, inner: { size: `\${{ 1 }}`, inner: { size: "big" } } }, { driver: tree }),
    ).toEqual(['warning: The driver "tree" may refuse this: Expected number, found string'])
  })

  test("is not checked by a schema that is none", async () => {
    expect(await said({ a: 1 }, { driver: certain("odd", { type: "objekt" }) })).toEqual([])
  })

  test("has as many faults as anybody reads, however many there are", async () => {
    const many = Array.from({ length: 20_000 }, (_, n) => n)
    expect((await said({ target: "staging", when: many })).length).toBe(100)
    const unknown = Object.fromEntries(many.map((n) => [`x${n}`, n]))
    expect((await said({ target: "staging", ...unknown })).length).toBe(100)
  })

  test("is passed over where it is no mapping, which is a fault of its own", async () => {
    expect(await said("make")).toEqual([])
  })

  test("is told by a check of files among all else that is wrong, in the order of places", async () => {
    await using folder = await tempFolder()
    const text =
      "name: a\nresource: app\nsteps:\n  - driver: deploy\n    with: { targt: x }\n    neds: []\n  - driver: deplyo\n"
    await writeFile(join(folder.path, "a.yaml"), text)
    const { faults } = await checkFiles([folder.path], {
      drivers: ["deploy"],
      inputs: createInputChecks([deploy]),
    })
    expect(faults.map(({ line, column }) => `${line}:${column}`)).toEqual(["5:13", "6:5", "7:13"])
  })
})

describe("the drivers that ship", async () => {
  const drivers = await driverInputs("/no/such/folder")
  const checks = createInputChecks(drivers)

  test("tell their inputs, all of them", async () => {
    expect(drivers.map(({ name }) => name)).toEqual([...(await shippedNames())])
    expect(drivers.every(({ isCertain }) => isCertain)).toBe(true)
  })

  test("are as uncertain as a module of the folder makes them, none of which is run", async () => {
    await using folder = await tempFolder()
    const path = join(folder.path, "drivers")
    await mkdir(path)
    const of = async () => (await driverInputs(path)).map(({ name, isCertain }) => [name, isCertain])
    const others = [
      ["http", true],
      ["shell", true],
    ]
    await writeFile(join(path, "deploy.ts"), "throw new Error()\nexport default { reconcile() {} }\n")
    expect(await of()).toEqual([["archive", true], ["git", true], ...others])
    await writeFile(join(path, "clone.ts"), "export default { name: 'git', reconcile() {} }\n")
    expect(await of()).toEqual([["archive", true], ["git", false], ...others])
    await writeFile(join(path, "archive.ts"), "export default { reconcile() {} }\n")
    expect(await of()).toEqual([["git", false], ...others])
    await writeFile(join(path, "passed-on.ts"), 'export { default } from "../elsewhere.ts"\n')
    expect((await of()).map(([, isCertain]) => isCertain)).toEqual([false, false, false])
  })

  for (const { name, inputSchema } of drivers) {
    const inputs = Object.keys(inputSchema["properties"] as JsonObject)
    const texts = ["", "a", "200", "200-299", "https://a.example", "GET", "-x", `\${{ 1 }}`, `a \${{ 1 }}`]
    const text = fc.constantFrom(...texts)
    const scalar = fc.oneof(text, fc.constantFrom(0, 1, 200, 1.5, true, null))
    const list = fc.array(fc.oneof(scalar, fc.array(scalar, { maxLength: 2 })), { maxLength: 2 })
    const value = fc.oneof(scalar, list, fc.dictionary(fc.constantFrom("a", "B"), scalar))
    const input = fc.dictionary(fc.constantFrom(...inputs, `${inputs[0]}s`), value, { maxKeys: 3 })

    test(`are refused by the check of ${name} only where the driver refuses them too`, async () => {
      const module = readModule(await import(join(import.meta.dir, "../../drivers", `${name}.ts`)))
      if (typeof module === "string" || module.input === undefined) throw new Error("It has an input")
      const { validate } = module.input["~standard"]
      let seen = 0
      await fc.assert(
        fc.asyncProperty(input as fc.Arbitrary<JsonObject>, async (given) => {
          const faults = await checks.faultsOf(name, given, "")
          const errors = faults.filter(({ severity }) => severity !== "warning")
          // Whatever values its expressions get later, the name is wrong.
          expect(errors.length).toBe(Object.keys(given).filter((key) => !inputs.includes(key)).length)
          const warnings = faults.filter(({ severity }) => severity === "warning")
          if (hasExpressions(given)) {
            expect(warnings.filter(({ path }) => hasExpressions(at(given, path)))).toEqual([])
            return
          }
          const refused = (await validate(given)).issues !== undefined
          // A list is a mapping to valibot's records, which is what nobody means.
          const told = faults.filter(({ message }) => !message.endsWith("Expected object, found array"))
          if (told.length > 0) expect({ given, refused }).toEqual({ given, refused: true })
          seen++
        }),
        { numRuns: 500 },
      )
      expect(seen).toBeGreaterThan(50)
    })
  }
})

/** What is at a JSON Pointer. */
function at(value: Json, path: string): Json {
  const keys = path.split("/").slice(1)
  return keys.reduce((inner, key) => (inner as { readonly [key: string]: Json })[key] ?? null, value)
}
