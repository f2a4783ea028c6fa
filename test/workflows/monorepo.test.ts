import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { type GitRepository, gitRepository } from "./git-repository.ts"
import { startWorkflow, type WorkflowHost } from "./workflow-host.ts"
import { statusesOf, stepOf } from "./workflow-runs.ts"

/* A real repository: what was touched is told by git. */

let host: WorkflowHost
beforeAll(async () => {
  host = await startWorkflow("monorepo")
})
afterAll(() => host[Symbol.asyncDispose]())

let repository: GitRepository
beforeEach(async () => {
  repository = await gitRepository("monorepo")
})
afterEach(() => repository[Symbol.asyncDispose]())

/** Pushes the files, and answers the id of the run that is for. */
async function push(files: Readonly<Record<string, string>>): Promise<string> {
  const before = await repository.head()
  await repository.commit(files)
  return await host.send("monorepo", { repo: repository.path, ref: "main", before })
}

const before = { clone: "succeeded", changes: "succeeded" } as const

describe("a push to a monorepo", () => {
  test("tests only the package it touches, and says why not the others", async () => {
    const run = await host.ended(await push({ "packages/web/NOTES.md": "Nothing new\n" }))
    expect([run.message, statusesOf(run)]).toEqual([
      "",
      {
        ...before,
        ...{ shared: "skipped", api: "skipped", web: "succeeded" },
        ...{ together: "succeeded", green: "succeeded" },
      },
    ])
    const values = [{ expression: "steps.changes.data.stdout", value: "web " }]
    expect(stepOf(run, "shared")).toMatchObject({
      message: "its condition is false: 'shared' in steps.changes.data.stdout.split(' ')",
      condition: { values },
    })
    expect(stepOf(run, "api")).toMatchObject({
      message:
        "its condition is false: ['api', 'shared'].exists(name, name in steps.changes.data.stdout.split(' '))",
      condition: { values },
    })
  })

  test("tests what depends on the package it touches", async () => {
    const run = await host.ended(await push({ "packages/shared/NOTES.md": "Nothing new\n" }))
    expect(statusesOf(run)).toEqual({
      ...before,
      ...{ shared: "succeeded", api: "succeeded", web: "succeeded" },
      ...{ together: "succeeded", green: "succeeded" },
    })
  })

  test("that touches no package tests none, and is green", async () => {
    const run = await host.ended(await push({ "docs/README.md": "# The toy shop\n" }))
    expect(run.status).toBe("succeeded")
    expect(statusesOf(run)).toEqual({
      ...before,
      ...{ shared: "skipped", api: "skipped", web: "skipped" },
      ...{ together: "skipped", green: "succeeded" },
    })
    expect(stepOf(run, "together").message).toBe("all steps it needs were skipped")
  })

  test("that breaks one package is told of the others, too, and is not green", async () => {
    const run = await host.ended(
      await push({
        "packages/api/index.js": "exports.shop = () => ({})\n",
        "packages/web/NOTES.md": "Nothing new\n",
      }),
    )
    expect(run).toMatchObject({
      status: "failed",
      message: 'step "api" failed: "node --test" ended with exit code 1',
    })
    expect(statusesOf(run)).toMatchObject({ shared: "skipped", web: "succeeded" })
    expect(stepOf(run, "together")).toMatchObject({
      status: "skipped",
      message: 'step "api" before it did not succeed',
    })
    expect(stepOf(run, "green")).toMatchObject({
      status: "skipped",
      message: "its condition is false: success()",
    })
  })

  test("takes the place of an earlier one of its branch", async () => {
    const earlier = await push({ "packages/web/test.js": "setInterval(() => {}, 1_000)\n" })
    await host.reaches(earlier, "web")
    const later = await push({ "packages/web/test.js": "" })
    expect(await host.ended(earlier)).toMatchObject({
      status: "cancelled",
      message: `cancelled: replaced by run ${later}`,
    })
    expect((await host.ended(later)).status).toBe("succeeded")
  })
})
