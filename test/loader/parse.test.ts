import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { parseFile } from "../../src/loader/parse.ts"
import { describeFault } from "../../src/model/fault.ts"
import { pipelineText } from "./loader-rig.ts"

const faultsOf = (text: string, drivers?: readonly string[]) =>
  parseFile("f.yaml", text, drivers === undefined ? {} : { drivers }).faults.map(describeFault)

const withStep = (step: string) => `name: a\nresource: app\nsteps:\n  - ${step}\n`

describe("a file", () => {
  test("declares all its documents, with their places", () => {
    const text = `${pipelineText("a")}---\nkind: ResourceDefinition\nname: app\nschema: true\n---\n`
    const { declarations, faults, names } = parseFile("f.yaml", text)
    expect(faults).toEqual([])
    expect(names).toEqual(["a", "app"])
    expect(declarations.map(({ kind, name, line, column }) => ({ kind, name, line, column }))).toEqual([
      { kind: "pipeline", name: "a", line: 1, column: 7 },
      { kind: "definition", name: "app", line: 9, column: 7 },
    ])
  })

  test("may be JSON with tabs", () => {
    const text = JSON.stringify({ name: "a", resource: "app", steps: [{ driver: "git" }] }, undefined, "\t")
    expect(parseFile("f.json", text).declarations).toHaveLength(1)
  })

  test("that is empty or only comments declares nothing and is no fault", () => {
    for (const text of ["", "# nothing\n", "---\n---\n"]) {
      expect(parseFile("f.yaml", text)).toMatchObject({ declarations: [], faults: [] })
    }
  })

  test("has the same hash in YAML and in JSON, whatever the order of its fields", () => {
    const [yaml] = parseFile("f.yaml", withStep("driver: git")).declarations
    const [json] = parseFile(
      "f.json",
      '{"steps":[{"driver":"git"}],"resource":"app","name":"a"}',
    ).declarations
    expect(yaml).toMatchObject({ hash: (json as { hash?: string }).hash as string })
  })

  test("with several slips gets all of them at once, in the order of their places", () => {
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
    expect(faultsOf(text)).toEqual([
      'f.yaml:3:6: Expected one of "create", "update", "delete" (did you mean "create"?)',
      'f.yaml:6:5: Unknown field "drivr" of a step; expected one of id, name, driver, with, needs, timeout, retry (did you mean "driver"?)',
      'f.yaml:7:14: Expected a duration such as "500ms", "10m" or "1h30m"',
      "f.yaml:8:24: Expected >=1, found 0",
      'f.yaml:8:27: Unknown field "bakoff" of a retry; expected one of attempts, backoff (did you mean "backoff"?)',
      expect.stringMatching(/^f\.yaml:9:13: Expected a name/),
    ])
  })

  test("whose second document is faulty declares nothing, and points into that document", () => {
    const { declarations, names, faults } = parseFile(
      "f.yaml",
      `${pipelineText("a")}---\nname: b\nsteps: []\n`,
    )
    expect(declarations).toEqual([])
    expect(names).toEqual(["a", "b"])
    expect(faults.map(({ line }) => line)).toEqual([8, 9])
  })

  test("that declares a name twice is told where the first is", () => {
    expect(faultsOf(`${pipelineText("a")}---\n${pipelineText("a")}`)).toEqual([
      'f.yaml:8:7: The pipeline "a" is already declared in line 1',
    ])
  })

  test("is never a reason to throw, and every fault has a place in it", () => {
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
    fc.assert(
      fc.property(pieces, (parts) => {
        const { declarations, faults } = parseFile("f.yaml", parts.join(""))
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
      'f.yaml:5:19: The expression "resourc.x" uses the unknown name "resourc"; expected one of resource, metadata, results, steps, run, event (did you mean "resource"?)',
    ],
    [
      "a definition's field",
      "kind: ResourceDefinition\nname: x\nschema: 3\n",
      "f.yaml:3:9: Expected a JSON Schema: a mapping or a boolean",
    ],
  ]
  test.each(cases)("about %s points at its place", (_, text, expected) => {
    expect(faultsOf(text)).toEqual([expected])
  })

  test("about nesting, size or too many aliases is one, and quick", () => {
    expect(faultsOf(`a: &a [1]\nb: [${"*a,".repeat(101)}]\n`)).toEqual([
      "f.yaml:2:305: Expected at most 100 aliases in a document",
    ])
    expect(faultsOf("#".repeat(1_000_001))[0]).toContain("at most 1000000 characters")
    const bomb = Array.from({ length: 9 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`).join(
      "\n",
    )
    expect(faultsOf(`a0: &a0 x\n${bomb}\n`)).toHaveLength(1)
  })

  test("about a driver that is not there is a warning and keeps nothing from being declared", () => {
    const { declarations, faults } = parseFile("f.yaml", withStep("driver: shel"), {
      drivers: ["git", "shell"],
    })
    expect(declarations).toHaveLength(1)
    expect(faults).toMatchObject([{ severity: "warning", line: 4, column: 13, nearest: "shell" }])
  })
})
