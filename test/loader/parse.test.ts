import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { parseFile } from "../../src/loader/parse.ts"
import { describeFault } from "../../src/model/fault.ts"
import { pipelineText } from "./loader-rig.ts"

const faultsOf = async (text: string) => (await parseFile("f.yaml", text)).faults.map(describeFault)

const withStep = (step: string) => `name: a\nresource: app\nsteps:\n  - ${step}\n`

describe("a file", () => {
  test("declares all its documents, with their places", async () => {
    const text = `${pipelineText("a")}---\nkind: ResourceDefinition\nname: app\nschema: true\n---\n`
    const { declarations, faults, names } = await parseFile("f.yaml", text)
    expect(faults).toEqual([])
    expect(names).toEqual(["a", "app"])
    expect(declarations.map(({ kind, name, line, column }) => ({ kind, name, line, column }))).toEqual([
      { kind: "pipeline", name: "a", line: 1, column: 7 },
      { kind: "definition", name: "app", line: 9, column: 7 },
    ])
  })

  test("may be JSON with tabs", async () => {
    const text = JSON.stringify({ name: "a", resource: "app", steps: [{ driver: "git" }] }, undefined, "\t")
    expect((await parseFile("f.json", text)).declarations).toHaveLength(1)
  })

  test("that is empty or only comments declares nothing and is no fault", async () => {
    for (const text of ["", "# nothing\n", "---\n---\n"]) {
      expect(await parseFile("f.yaml", text)).toMatchObject({ declarations: [], faults: [] })
    }
  })

  test("has the same hash in YAML and in JSON, whatever the order of its fields", async () => {
    const yaml = await parseFile("f.yaml", withStep("driver: git"))
    const json = await parseFile("f.json", '{"steps":[{"driver":"git"}],"resource":"app","name":"a"}')
    expect(yaml.declarations[0]).toMatchObject({
      hash: (json.declarations[0] as { hash?: string }).hash as string,
    })
  })

  test("with several slips gets all of them at once, in the order of their places", async () => {
    const text = [
      "name: a",
      "resource: app",
      "on: [creat]",
      "steps:",
      "  - id: x",
      "    drivr: shell",
      "    timeout: 5x",
      "    retry: { attempts: 0, bakoff: 3 }",
      "  - driver: 5",
    ].join("\n")
    expect(await faultsOf(text)).toEqual([
      'f.yaml:3:6: Expected one of "create", "update", "delete" (did you mean "create"?)',
      'f.yaml:6:5: Unknown field "drivr" of a step (did you mean "driver"?)',
      'f.yaml:7:14: Expected a duration such as "500ms", "10m" or "1h30m"',
      "f.yaml:8:24: Expected a whole number from 1 to 100",
      'f.yaml:8:27: Unknown field "bakoff" of a retry (did you mean "backoff"?)',
      expect.stringMatching(/^f\.yaml:9:13: Expected a name/),
    ])
  })

  test("whose second document is faulty declares nothing, and points into that document", async () => {
    const { declarations, names, faults } = await parseFile(
      "f.yaml",
      `${pipelineText("a")}---\nname: b\nsteps: []\n`,
    )
    expect(declarations).toEqual([])
    expect(names).toEqual(["a", "b"])
    expect(faults.map(({ line }) => line)).toEqual([8, 9])
  })

  test("that declares a name twice is told where the first is", async () => {
    expect(await faultsOf(`${pipelineText("a")}---\n${pipelineText("a")}`)).toEqual([
      'f.yaml:8:7: The pipeline "a" is already declared in line 1',
    ])
  })

  test("is never a reason to throw, and every fault has a place in it", async () => {
    const pieces = fc.array(
      fc.constantFrom(
        "name",
        "steps",
        ":",
        " ",
        "\n",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "a",
        "&a ",
        "*a",
        "---\n",
        '"',
        "!x",
        "\t",
      ),
    )
    await fc.assert(
      fc.asyncProperty(pieces, async (parts) => {
        const { declarations, faults } = await parseFile("f.yaml", parts.join(""))
        for (const { file, line, column, message } of faults) {
          expect({ file, message: message !== "", placed: (line ?? 0) > 0 && (column ?? 0) > 0 }).toEqual({
            file: "f.yaml",
            message: true,
            placed: true,
          })
        }
        if (faults.length > 0) expect(declarations).toEqual([])
      }),
    )
  })
})

describe("a fault", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["a key twice", "a: 1\na: 2\n", "f.yaml:2:1: Map keys must be unique"],
    ["an alias of nothing", "a: *y\n", 'f.yaml:1:4: No anchor "&y" stands before this alias'],
    ["an alias inside itself", "a: &c [*c]\n", 'f.yaml:1:8: The alias "*c" stands inside what it names'],
    ["a tag", "name: !x a\n", "f.yaml:1:7: Unresolved tag: !x"],
    [
      "no mapping",
      "- 1\n",
      "f.yaml:1:1: Expected a mapping with the fields of a pipeline or a resource definition",
    ],
    [
      "an unknown kind",
      "kind: Pipelin\nname: a\n",
      'f.yaml:1:7: Unknown kind; expected one of Pipeline, ResourceDefinition (did you mean "Pipeline"?)',
    ],
    [
      "a missing field",
      "resource: b\nsteps: [{driver: x}]\n",
      'f.yaml:1:1: Expected the field "name", which is missing',
    ],
    ["a wrong type", withStep("{driver: x, name: [1]}"), "f.yaml:4:23: Expected a text, found a list"],
    ["no steps", "name: a\nresource: b\nsteps: []\n", "f.yaml:3:8: Expected at least one step"],
    [
      "an unknown need",
      withStep("{id: build, driver: x}\n  - {driver: y, needs: [biuld]}"),
      'f.yaml:5:25: No step has the id "biuld"; expected one of "build", "y" (did you mean "build"?)',
    ],
    [
      "a cycle",
      withStep("{id: x, driver: d, needs: [x]}"),
      "f.yaml:4:31: The steps wait for each other: x → x",
    ],
    [
      "an expression",
      withStep(`driver: x\n    with: { run: ["\${{ resourc.x }}"] }`),
      'f.yaml:5:24: The expression "resourc.x" uses the unknown name "resourc" (did you mean "resource"?)',
    ],
    [
      "a step of ensure, which stands alone or in a list,",
      withStep("{ driver: git, ensure: { driver: sh, timeout: 5x } }"),
      'f.yaml:4:51: Expected a duration such as "500ms", "10m" or "1h30m"',
    ],
    [
      "a step of a list of ensure",
      withStep("{ driver: git, ensure: [{ driver: sh }, { timeout: 5s }] }"),
      'f.yaml:4:45: Expected the field "driver", which is missing',
    ],
    [
      "an expression within a text in quotes",
      withStep(`{ driver: git, with: { a: "b \${{ 1 + resourc }}" } }`),
      'f.yaml:4:42: The expression "1 + resourc" uses the unknown name "resourc" (did you mean "resource"?)',
    ],
    [
      "an expression within a block",
      withStep(`driver: git\n    with:\n      run: |\n        echo\n        go \${{ 1 + }} on\n`),
      'f.yaml:8:19: The expression "1 +" is not CEL: it ends too early',
    ],
    [
      "an expression within a folded text, which starts there,",
      withStep(`driver: git\n    with:\n      run: >\n        echo\n        go \${{ 1 + }} on\n`),
      'f.yaml:6:12: The expression "1 +" is not CEL: it ends too early',
    ],
    [
      "an expression within a text with escapes, which starts there,",
      withStep(`{ driver: git, with: { a: "\\t\${{ 1 + }}" } }`),
      'f.yaml:4:31: The expression "1 +" is not CEL: it ends too early',
    ],
    [
      "a condition within",
      withStep("{ driver: git, if: success() && sucess() }"),
      'f.yaml:4:37: The expression "success() && sucess()" calls the unknown function "sucess" (did you mean "success()"?)',
    ],
    [
      "a definition's field",
      "kind: ResourceDefinition\nname: x\nschema: 3\n",
      "f.yaml:3:9: Expected a JSON Schema: a mapping or a boolean",
    ],
    [
      "a definition's schema",
      "kind: ResourceDefinition\nname: x\nschema:\n  properties:\n    size: { type: strnig }\n",
      'f.yaml:5:19: Expected one of "array", "boolean", "integer", "null", "number", "object", "string" (did you mean "string"?)',
    ],
    [
      "a default in a definition's schema",
      "kind: ResourceDefinition\nname: x\nschema:\n  properties:\n    size: { type: integer, default: [1] }\n",
      "f.yaml:5:37: The default does not fit: Expected integer, found array",
    ],
    [
      "a definition's schema of draft 4",
      "kind: ResourceDefinition\nname: x\nschema:\n  $schema: http://json-schema.org/draft-04/schema#\n  required: []\n",
      "f.yaml:5:13: Expected not to have fewer than 1 items",
    ],
    [
      "a definition's schema of draft 2020-12",
      "kind: ResourceDefinition\nname: x\nschema:\n  $schema: https://json-schema.org/draft/2020-12/schema\n  prefixItems: {}\n",
      "f.yaml:5:16: Expected array, found object",
    ],
    [
      "a definition's draft",
      "kind: ResourceDefinition\nname: x\nschema:\n  $schema: http://json-schema.org/draft-03/schema#\n",
      expect.stringMatching(/^f\.yaml:4:12: The schema is of a draft that is not known; .*did you mean /),
    ],
    [
      "a reference in a definition's schema",
      'kind: ResourceDefinition\nname: x\nschema:\n  $ref: "#/definitions/none"\n',
      "f.yaml:4:3: The schema does not compile: can't resolve reference #/definitions/none from id #",
    ],
  ]
  test.each(cases)("about %s points at its place", async (_, text, expected) => {
    expect(await faultsOf(text)).toEqual([expected])
  })

  test.each([
    [`with: { url: \${{ resource.spec.repo }}, depth: 1 }`, 14],
    [`with: { run: ./deploy "\${{ resource.name }}" }`, 24],
  ])("about an expression without quotes within braces is one, and says that: %s", async (input, column) => {
    const text = `name: x\nresource: y\nsteps:\n  - driver: shell\n    ${input}\n  - driver: shell\n    if: event == 'create'\n`
    expect(await faultsOf(text)).toEqual([
      `f.yaml:5:${column + 4}: Where YAML stands in { }, a text with an expression in it must be quoted: "\${{ resource.name }}"`,
    ])
  })

  test("about nesting, size or too many aliases is one, and quick", async () => {
    expect(await faultsOf(`a: &a [1]\nb: [${"*a,".repeat(101)}]\n`)).toEqual([
      "f.yaml:2:305: Expected at most 100 aliases in a document",
    ])
    expect((await faultsOf("#".repeat(1_000_001)))[0]).toContain("at most 1000000 characters")
    const bomb = Array.from({ length: 9 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`).join(
      "\n",
    )
    expect(await faultsOf(`a0: &a0 x\n${bomb}\n`)).toHaveLength(1)
  })

  const deep: readonly (readonly [string, string, string])[] = [
    ["lists", "[".repeat(200_000), "f.yaml:1:101"],
    ["mappings", `name: a\nwith: ${"{a: ".repeat(100_000)}`, "f.yaml:2:407"],
    ["lists in block style", `# no code\n${"- ".repeat(200_000)}`, "f.yaml:2:201"],
    ["keys that are mappings", "? ".repeat(100_000), "f.yaml:1:201"],
  ]
  test.each(deep)("about %s nested too deep is found before they are parsed", async (_, text, place) => {
    expect(await faultsOf(text)).toEqual([`${place}: Expected at most 100 levels of nesting`])
  })

  test("about nesting is not raised by brackets and dashes that nest nothing", async () => {
    const script = "    [ x\n    { - - -\n".repeat(200)
    const text = `# ${"[".repeat(200)}\n${withStep("driver: x")}    with:\n      run: |\n${script.replaceAll("    ", "        ")}      text: '${"[{".repeat(200)}'\n      list:${"\n        - [1, {a: [2]}]".repeat(200)}\n`
    expect(await faultsOf(text)).toEqual([])
  })

  test("about a repeated key is found among very many keys", async () => {
    const keys = Array.from({ length: 40_000 }, (_, n) => `k${n}: 1\n`).join("")
    expect(await faultsOf(`${keys}k0: 2\n`)).toEqual(["f.yaml:40001:1: Map keys must be unique"])
  }, 30_000)

  test("about a driver that is not there is a warning and keeps nothing from being declared", async () => {
    const { declarations, faults } = await parseFile("f.yaml", withStep("driver: shel"), {
      drivers: ["git", "shell"],
    })
    expect(declarations).toHaveLength(1)
    expect(faults).toMatchObject([{ severity: "warning", line: 4, column: 13, nearest: "shell" }])
  })
})
