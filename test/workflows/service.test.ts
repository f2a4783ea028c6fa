import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { type GitRepository, gitRepository } from "./git-repository.ts"
import { type ServiceMachine, startServiceMachine } from "./service-machine.ts"
import { startWorkflow, type WorkflowHost } from "./workflow-host.ts"
import { statusesOf, stepOf } from "./workflow-runs.ts"

/* A service that is a process, on a machine that is told over HTTP which release to run. */

let host: WorkflowHost
beforeAll(async () => {
  host = await startWorkflow("service")
})
afterAll(() => host[Symbol.asyncDispose]())

let repository: GitRepository
let machine: ServiceMachine
beforeEach(async () => {
  repository = await gitRepository("service")
  machine = await startServiceMachine()
})
afterEach(async () => {
  await machine[Symbol.asyncDispose]()
  await repository[Symbol.asyncDispose]()
})

const push = () => host.send("service", { repo: repository.path, ref: "main", machine: machine.url })
const serves = (commit: string) => `Hello, you (${commit})`

/** Deploys what the repository begins with, and answers its commit. */
async function deployed(): Promise<string> {
  const run = await host.ended(await push())
  expect([run.message, run.status]).toEqual(["", "succeeded"])
  return await repository.head()
}

describe("a service", () => {
  test("is deployed, and nothing is rolled back", async () => {
    const first = await deployed()
    expect(await machine.answer()).toBe(serves(first))

    const second = await repository.commit({
      "greeting.js": "exports.greeting = (name) => ['Hello', name].join(', ')\n",
    })
    const run = await host.ended(await push())
    expect(run.status).toBe("succeeded")
    expect(stepOf(run, "serving").result?.data).toMatchObject({ status: 200, body: { release: first } })
    expect(statusesOf(run)).toMatchObject({ "roll-back": "skipped", "healthy-again": "skipped" })
    expect(await machine.answer()).toBe(serves(second))
  })

  test("that does not pass its tests never reaches its machine", async () => {
    const first = await deployed()
    await repository.commit({ "greeting.js": "exports.greeting = () => 'Go away'\n" })
    const run = await host.ended(await push())
    expect(run).toMatchObject({
      status: "failed",
      message: 'step "unit" failed: "node --test" ended with exit code 1',
    })
    expect(statusesOf(run)).toMatchObject({ upload: "skipped", switch: "skipped", "roll-back": "skipped" })
    expect(machine.switches).toEqual([first])
  })

  test("that does not come up is rolled back: the old release serves again, and the failure is told", async () => {
    const first = await deployed()
    const broken = await repository.commit({
      "health.js": "require('./settings.json')\n",
      "server.js": "require('./health.js')\n",
    })
    const run = await host.ended(await push())
    expect(run).toMatchObject({
      status: "failed",
      message: `step "healthy" failed: GET ${machine.url}/service/health answered 502, expected 200-299`,
    })
    expect(stepOf(run, "healthy").attempt).toBe(3)
    expect(statusesOf(run)).toMatchObject({ "roll-back": "succeeded", "healthy-again": "succeeded" })
    expect(machine.switches).toEqual([first, broken, first])
    expect(await machine.answer()).toBe(serves(first))
  })

  test("is rolled back by a cancel, before the deployment that waits its turn begins", async () => {
    const first = await deployed()
    const hanging = await repository.commit({ "health.js": "exports.answer = () => {}\n" })
    const run = await push()
    await host.reaches(run, "healthy")
    const mended = await repository.commit({
      "health.js": "exports.answer = (response) => response.end('well')\n",
    })
    const next = await push()
    await host.says(next, new RegExp(`^waiting for the concurrency key "deploy to ${machine.url}" since `))

    await host.cancel(run)
    const cancelled = await host.ended(run)
    expect(cancelled.status).toBe("cancelled")
    expect(statusesOf(cancelled)).toMatchObject({
      healthy: "cancelled",
      "roll-back": "succeeded",
      "healthy-again": "succeeded",
    })
    expect((await host.ended(next)).status).toBe("succeeded")
    expect(machine.switches).toEqual([first, hanging, first, mended])
    expect(await machine.answer()).toBe(serves(mended))
  })
})
