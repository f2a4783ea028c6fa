import { afterAll, describe, expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { driverInputs } from "../../src/drivers/driver-inputs.ts"
import { shippedNames } from "../../src/drivers/shipped.ts"
import { checkFiles } from "../../src/loader/check.ts"
import { createInputChecks } from "../../src/loader/input-checks.ts"
import { parseFile } from "../../src/loader/parse.ts"
import { describeFault, type Fault } from "../../src/model/fault.ts"
import { present } from "../../src/model/present.ts"
import { expectShown, startExampleHost } from "../rig/example-host.ts"
import { fencedBlocks } from "../rig/markdown.ts"
import { shownRuns } from "../rig/shown-runs.ts"
import { tempFolder } from "../rig/temp-folder.ts"

/*
 * Every block of `yaml` in these pages is a file of the pipelines folder. It is valid, but for what its comments say
 * behind a ✗ or as a warning, and each run that they show ends as shown. What other systems read is a block of `yml`.
 */

const pages = ["pipelines.md", "coming-from.md"]
const blocks = (await Promise.all(pages.map(blocksOf))).flat()
const folder = await tempFolder()
await writeFile(join(folder.path, "app.yaml"), "kind: ResourceDefinition\nname: app\nschema: {}\n")
for (const { file, text, refused } of blocks) if (!refused) await writeFile(join(folder.path, file), text)
const examples = await startExampleHost(folder.path)
const drivers = await shippedNames()
const inputs = createInputChecks(await driverInputs(join(folder.path, "no-drivers")))

afterAll(async () => {
  await examples[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function blocksOf(page: string) {
  const markdown = await Bun.file(join(import.meta.dir, "../../docs", page)).text()
  return fencedBlocks(markdown)
    .filter(({ info }) => info === "yaml")
    .map(({ text, line }) => ({
      text,
      // What a step is given may be wrong, and the file is loaded all the same.
      refused: text.includes("\n# ✗ ") && shownRuns(text).length === 0,
      file: `${page.replace(".md", "")}-line-${line}.yaml`,
    }))
}

/** As `conveyor validate` says it, without the file. */
function said({ severity, message, line, column, nearest }: Fault): string {
  const place = { message, ...present({ line, column, nearest }) }
  return `# ${severity === "warning" ? "warning:" : "✗"} ${describeFault(place)}`
}

describe("the documentation", () => {
  test("has examples on every page, and some that are refused", () => {
    for (const page of pages) expect(blocks.some(({ file }) => file.startsWith(page.slice(0, -3)))).toBe(true)
    expect(blocks.some(({ refused }) => refused)).toBe(true)
  })

  test("has no name twice, so that each of its pipelines is the one that runs", async () => {
    const { faults } = await checkFiles([folder.path], { drivers })
    expect(faults.filter(({ severity }) => severity !== "warning")).toEqual([])
  })

  for (const { file, text } of blocks) {
    test(`says all that is wrong with ${file}`, async () => {
      const { faults, inputFaults = [] } = await parseFile(file, text, { drivers, inputs })
      const found = [...faults, ...inputFaults.map(({ fault }) => fault)]
      expect(found.map(said)).toEqual(text.split("\n").filter((line) => /^# (?:✗|warning:) /.test(line)))
    })
  }
})

describe.concurrent("the documentation tells how it ends:", () => {
  for (const { file, text } of blocks) {
    for (const shown of shownRuns(text)) {
      const how = [shown.pipeline, ...shown.set].join(" ")
      test(`${file}, ${how}: ${shown.outcome}`, () => expectShown(examples, shown), 120_000)
    }
  }
})
