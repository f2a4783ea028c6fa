import { afterAll, describe, expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { expectShown, startExampleHost } from "../rig/example-host.ts"
import { shownRuns } from "../rig/shown-runs.ts"

/* Each file in pipelines/ is really run, as often as its comments show a run, and ends as they say. */

const folder = join(import.meta.dir, "../../pipelines")
const files = (await readdir(folder)).filter((file) => file.endsWith(".yaml"))
const texts = await Promise.all(
  files.map(async (file) => ({ file, shown: shownRuns(await Bun.file(join(folder, file)).text()) })),
)
const examples = await startExampleHost(folder)
afterAll(() => examples[Symbol.asyncDispose]())

test("no example is without a test", async () => {
  const watched = await Bun.file(join(import.meta.dir, "watched.test.ts")).text()
  const untested = texts.filter(({ file, shown }) => shown.length === 0 && !watched.includes(`"${file} `))
  // Two files only declare a resource definition; the demo runs the one that builds Conveyor.
  expect(untested.map(({ file }) => file).sort()).toEqual(["conveyor.yaml", "example.yaml", "greeting.yaml"])
})

describe.concurrent("the example", () => {
  for (const { file, shown } of texts) {
    for (const run of shown) {
      const how = run.set.length === 0 ? "" : ` with ${run.set.join(" and ")}`
      test(`${file} ends as it says${how}: ${run.outcome}`, () => expectShown(examples, run), 120_000)
    }
  }
})
