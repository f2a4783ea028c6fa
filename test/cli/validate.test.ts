import { expect, test } from "bun:test"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { styleFor } from "../../src/cli/terminal.ts"
import { validate } from "../../src/cli/validate.ts"
import type { Fault } from "../../src/model/fault.ts"
import { pipelineText } from "../loader/loader-rig.ts"
import { tempFolder } from "../rig/temp-folder.ts"

async function validated(
  paths: readonly string[],
  options: { json?: boolean; drivers?: string; loadDrivers?: boolean } = {},
) {
  const lines: string[] = []
  const code = await validate(paths, {
    json: options.json ?? false,
    loadDrivers: options.loadDrivers ?? false,
    settings: { drivers: options.drivers ?? "/no/such/folder" },
    print: (line) => lines.push(line),
    style: styleFor({}, {}),
  })
  return { code, lines }
}

test("the examples that ship are valid", async () => {
  const { code, lines } = await validated([join(import.meta.dir, "../../pipelines")])
  expect(lines.at(-1)).toEndWith(": all valid")
  expect(code).toBe(0)
})

test("a fault is shown with its place, its line and a caret, and the exit code is 1", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "a.yaml")
  await writeFile(file, "name: a\nresource: app\nsteps:\n  - drver: git\n")
  expect(await validated([file])).toEqual({
    code: 1,
    lines: [
      `${file}:4:5: Unknown field "drver" of a step (did you mean "driver"?)`,
      "    - drver: git",
      "      ^",
      "1 file, 0 pipelines, 0 resource definitions: 1 error, 0 warnings",
    ],
  })
})

test("every slip in a file is shown at once, each with its place and the way to mend it", async () => {
  const { code, lines } = await validated([join(import.meta.dir, "slips.yaml")])
  const shown = lines.map((line) => line.replace(`${import.meta.dir}/`, ""))
  expect(shown).toEqual((await readFile(join(import.meta.dir, "slips.txt"), "utf8")).trimEnd().split("\n"))
  expect(code).toBe(1)
})

test("JSON output has the same faults at the same places", async () => {
  const file = join(import.meta.dir, "slips.yaml")
  const { lines } = await validated([file])
  const { lines: json } = await validated([file], { json: true })
  const faults = JSON.parse(json.join("\n")) as readonly Fault[]
  const places = lines.flatMap((line) => /^(?:warning: )?.*slips\.yaml:(\d+:\d+):/.exec(line)?.[1] ?? [])
  expect(faults.map(({ line, column }) => `${line}:${column}`)).toEqual(places)
  for (const fault of faults) {
    const known = ["message", "path", "nearest", "severity", "file", "line", "column"]
    expect(known).toEqual(expect.arrayContaining(Object.keys(fault)))
  }
})

test("a folder is checked as a whole, a name in two of its files included", async () => {
  await using folder = await tempFolder()
  await mkdir(join(folder.path, "sub"))
  await writeFile(join(folder.path, "a.yaml"), pipelineText("x"))
  await writeFile(join(folder.path, "sub/b.yaml"), pipelineText("x"))
  const { code, lines } = await validated([folder.path])
  expect(code).toBe(1)
  expect(lines[0]).toBe(
    `${folder.path}/sub/b.yaml:1:7: The pipeline "x" is already declared in ${folder.path}/a.yaml:1:7`,
  )
})

test("an unknown driver is a warning, and the exit code is 0", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "a.yaml")
  await writeFile(file, pipelineText("x").replace("shell", "deplyo"))
  const drivers = join(folder.path, "drivers")
  await mkdir(drivers)
  await writeFile(join(drivers, "deploy.ts"), "throw new Error('a check runs no driver')\n")
  const { code, lines } = await validated([file], { drivers })
  expect(code).toBe(0)
  expect(lines[0]).toMatch(
    /^warning: .*a\.yaml:5:13: No driver is named "deplyo" here.*did you mean "deploy"/,
  )
})

test("an input that a shipped driver does not have is an error, and what it may refuse a warning", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "a.yaml")
  const steps =
    "  - driver: git\n    with: { branch: main, depth: many }\n  - driver: shell\n    with: { cwdd: src }\n"
  await writeFile(file, `name: a\nresource: app\nsteps:\n${steps}`)
  expect(await validated([file])).toEqual({
    code: 1,
    lines: [
      `${file}:5:13: The driver "git" has no input "branch"; there are url, ref, depth, path`,
      "      with: { branch: main, depth: many }",
      "              ^",
      `warning: ${file}:5:34: The driver "git" may refuse this: Expected integer, found string`,
      "      with: { branch: main, depth: many }",
      "                                   ^",
      `${file}:7:13: The driver "shell" has no input "cwdd" (did you mean "cwd"?)`,
      "      with: { cwdd: src }",
      "              ^",
      "1 file, 1 pipeline, 0 resource definitions: 2 errors, 1 warning",
    ],
  })
  await writeFile(file, "name: a\nresource: app\nsteps:\n  - { driver: git, with: { depth: many } }\n")
  expect(await validated([file])).toMatchObject({ code: 0, lines: { length: 4 } })
})

test("an input of a driver of the folder is not checked, also where a shipped one has its name", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "a.yaml")
  await writeFile(file, "name: a\nresource: app\nsteps: [{ driver: git, with: { branch: main } }]\n")
  const drivers = join(folder.path, "drivers")
  await mkdir(drivers)
  await writeFile(join(drivers, "git.ts"), "throw new Error('a check runs no driver')\n")
  expect((await validated([file], { drivers })).lines.at(-1)).toEndWith(": all valid")
})

test("an input of a driver of the folder is checked when that is to be loaded, and so is said what cannot be", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "a.yaml")
  const steps = "[{ driver: deploy, with: { targt: x } }, { driver: broken, with: { a: 1 } }]"
  await writeFile(file, `name: a\nresource: app\nsteps: ${steps}\n`)
  const drivers = join(folder.path, "drivers")
  await mkdir(drivers)
  const schema = `{ "~standard": { version: 1, vendor: "own", validate: (value) => ({ value }), jsonSchema: { input: () => (${JSON.stringify(
    {
      properties: { target: {} },
      required: ["target"],
      additionalProperties: false,
    },
  )}) } } }`
  await writeFile(join(drivers, "deploy.ts"), `export default { input: ${schema}, reconcile() {} }\n`)
  await writeFile(join(drivers, "broken.ts"), "throw new Error('no luck')\n")
  const { code, lines } = await validated([file], { drivers, loadDrivers: true })
  expect(lines.filter((line) => line.startsWith("warning: "))).toEqual([
    expect.stringMatching(
      /drivers\/broken\.ts: The file throws when it is loaded: no luck; what its steps are given is not checked$/,
    ),
    `warning: ${file}:3:35: The driver "deploy" has no input "targt" (did you mean "target"?)`,
  ])
  expect(code).toBe(0)
})

test("a path that is not there is a fault", async () => {
  const { code, lines } = await validated(["/no/such/folder"])
  expect(code).toBe(1)
  expect(lines[0]).toBe("/no/such/folder: There is no such file or folder")
})

test("JSON output is the array of faults and nothing else", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "a.json")
  await writeFile(file, "[]")
  const { code, lines } = await validated([file], { json: true })
  expect(code).toBe(1)
  expect(JSON.parse(lines.join("\n"))).toEqual([
    { message: expect.any(String), path: "", line: 1, column: 1, file },
  ])
})
