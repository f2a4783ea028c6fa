import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import type { RunView } from "../../src/model/run-view.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { type GitRepository, gitRepository } from "./git-repository.ts"
import { type Lab, startLab } from "./lab.ts"
import { startWorkflow, type WorkflowHost } from "./workflow-host.ts"
import { statusesOf, stepOf } from "./workflow-runs.ts"

/* Long tests that are processes, in an environment that must be gone in the morning. */

let host: WorkflowHost
beforeAll(async () => {
  host = await startWorkflow("nightly")
})
afterAll(() => host[Symbol.asyncDispose]())

let repository: GitRepository
let lab: Lab
let reports: Awaited<ReturnType<typeof tempFolder>>
beforeEach(async () => {
  repository = await gitRepository("nightly")
  lab = startLab()
  reports = await tempFolder()
})
afterEach(async () => {
  await lab[Symbol.asyncDispose]()
  await reports[Symbol.asyncDispose]()
  await repository[Symbol.asyncDispose]()
})

const night = (budget = "1m") =>
  host.send("nightly", {
    ...{ repo: repository.path, ref: "main" },
    ...{ lab: lab.url, reports: reports.path, budget, keep: 2 },
  })

/** What the report of the run says. */
async function reportOf({ runId }: RunView): Promise<string> {
  const tarball = join(reports.path, `${runId}.tar.gz`)
  return await Bun.spawn(["tar", "-xzOf", tarball, "report/cases.txt"]).stdout.text()
}

describe("a nightly job", () => {
  test("leaves a report and no environment, keeps the newest reports, and tells how it went", async () => {
    for (const old of ["0000-a", "0000-b"]) {
      for (const ending of ["", ".sha256"]) await Bun.write(join(reports.path, `${old}.tar.gz${ending}`), "")
    }
    const run = await host.ended(await night())
    expect([run.message, run.status]).toEqual(["", "succeeded"])
    expect(stepOf(run, "audit")).toMatchObject({ status: "failed", result: { data: { exitCode: 1 } } })
    expect(await reportOf(run)).toBe("case 1: passed\ncase 2: passed\ncase 3: passed\n")
    expect((await readdir(reports.path)).filter((file) => file.endsWith("gz")).sort()).toEqual([
      "0000-b.tar.gz",
      `${run.runId}.tar.gz`,
    ])
    expect(lab.history).toEqual([
      ...["made", "case 1", "case 2", "case 3"],
      "A good night; audit: failed",
      "deleted",
    ])
  })

  test("that is cancelled in the middle cleans up all the same, and another one is not let in meanwhile", async () => {
    lab.held.add("2")
    const runId = await night()
    await lab.begun("2")
    expect(await lab.playing()).toHaveLength(2)
    const other = await host.ended(await night())
    expect(other.status).toBe("cancelled")
    expect(other.message).toStartWith(
      `rejected: the key "nightly ${repository.path}" is held by run ${runId} since `,
    )

    await host.cancel(runId)
    const run = await host.ended(runId)
    expect(run.status).toBe("cancelled")
    expect(await lab.playing()).toEqual([])
    expect(statusesOf(run)).toMatchObject({
      soak: "cancelled",
      "soak.ensure": "succeeded",
      prune: "succeeded",
      tell: "succeeded",
      "environment.deferred": "succeeded",
    })
    expect(await reportOf(run)).toBe("case 1: passed\nstopped\n")
    expect(lab.history).toEqual([
      ...["made", "case 1", "case 2"],
      expect.stringMatching(/^A night cut short; audit: /),
      "deleted",
    ])
  })

  test("that takes too long fails, and cleans up", async () => {
    lab.held.add("1")
    const run = await host.ended(await night("1s"))
    expect(run).toMatchObject({ status: "failed", message: 'step "soak" failed: timed out after 1.0s' })
    expect(stepOf(run, "soak.ensure").status).toBe("succeeded")
    expect(lab.history.slice(-2)).toEqual([expect.stringMatching(/^A bad night; audit: /), "deleted"])
    expect(lab.environments.size).toBe(0)
  })
})
