import { describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { cp, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { RunView, StepView } from "../../src/model/run-view.ts"
import { type ExampleHost, startExampleHost } from "../rig/example-host.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/* Examples in pipelines/ whose comments tell of more than one run that ends by itself. */

const folder = join(import.meta.dir, "../../pipelines")

function stepOf(run: RunView, id: string): StepView {
  const step = run.steps.find((each) => each.id === id)
  if (step === undefined) throw new Error(`the run has no step "${id}"`)
  return step
}

const isRunning = ({ steps }: RunView) => steps.some(({ status }) => status === "running")
const isQueued = ({ concurrency }: RunView) => concurrency?.queuedAt !== undefined

/** The lines that a step has logged. */
async function linesOf(examples: ExampleHost, runId: string, step: string): Promise<readonly string[]> {
  return (await examples.linesOf(runId)).filter((line) => line.step === step).map(({ message }) => message)
}

describe.concurrent("the example", () => {
  test("hold.yaml goes on at the step that was mended", async () => {
    await using own = await tempFolder()
    await cp(join(folder, "example.yaml"), join(own.path, "example.yaml"))
    const file = join(own.path, "hold.yaml")
    const text = await readFile(join(folder, "hold.yaml"), "utf8")
    await writeFile(file, text)
    await using examples = await startExampleHost(own.path)

    const runId = await examples.submit({ pipeline: "hold" })
    const held = await examples.runUntil(runId, "is held", ({ heldSince }) => heldSince !== undefined)
    expect(held.message).toBe(
      `held since ${held.heldSince}: step "test" failed: "false" ended with exit code 1; save the mended pipeline or driver, or cancel`,
    )
    await writeFile(file, text.replace('run: "false"', 'run: "true"'))
    const run = await examples.ended(runId)
    expect(run.status).toBe("succeeded")
    expect(stepOf(run, "build")).toEqual(stepOf(held, "build"))
    expect(stepOf(run, "test").attempt).toBe(2)
    expect(await linesOf(examples, runId, "report")).toEqual(["built once"])
  }, 60_000)

  test("concurrency-queue.yaml lets runs of one environment wait, and those of another one pass", async () => {
    await using examples = await startExampleHost(folder)
    const deploy = (environment: string, seconds: number) =>
      examples.submit({
        pipeline: "concurrency-queue",
        set: [`environment=${environment}`, `seconds=${seconds}`],
      })
    const first = await deploy("staging", 60)
    await examples.runUntil(first, "runs", isRunning)
    const second = await deploy("staging", 0)
    const queued = await examples.runUntil(second, "waits", isQueued)
    expect(queued.message).toBe(
      `waiting for the concurrency key "deploy-staging" since ${queued.concurrency?.queuedAt}`,
    )
    expect((await examples.ended(await deploy("production", 0))).status).toBe("succeeded")
    expect((await examples.run(second)).status).toBe("pending")
    await examples.send("POST", `/runs/${first}/cancel`)
    const [before, after] = [await examples.ended(first), await examples.ended(second)]
    expect(after.status).toBe("succeeded")
    expect(String(after.startedAt) >= String(before.finishedAt)).toBe(true)
  }, 60_000)

  test("concurrency-replace.yaml cancels the run before it of the same branch, and of no other", async () => {
    await using examples = await startExampleHost(folder)
    const push = (branch: string, seconds: number) =>
      examples.submit({
        pipeline: "concurrency-replace",
        set: [`branch=${branch}`, `seconds=${seconds}`],
      })
    const [old, other] = [await push("main", 60), await push("mine", 60)]
    for (const runId of [old, other]) await examples.runUntil(runId, "runs", isRunning)
    const newer = await push("main", 0)
    expect((await examples.ended(newer)).status).toBe("succeeded")
    const replaced = await examples.ended(old)
    expect([replaced.status, replaced.message]).toEqual(["cancelled", `cancelled: replaced by run ${newer}`])
    expect((await examples.run(other)).status).toBe("running")
  }, 60_000)

  test("concurrency-reject.yaml ends the run that came too late", async () => {
    await using examples = await startExampleHost(folder)
    const first = await examples.submit({ pipeline: "concurrency-reject", set: ["seconds=60"] })
    const running = await examples.runUntil(first, "runs", isRunning)
    const rejected = await examples.ended(await examples.submit({ pipeline: "concurrency-reject" }))
    expect(rejected.status).toBe("cancelled")
    expect(rejected.message).toStartWith(`rejected: the key "backup" is held by run ${running.runId} since `)
    expect(stepOf(rejected, "backup").status).toBe("skipped")
  }, 60_000)

  test("priority.yaml lets the hotfix go before a nightly run that came first", async () => {
    await using examples = await startExampleHost(folder)
    const first = await examples.submit({ pipeline: "nightly", set: ["seconds=60"] })
    await examples.runUntil(first, "runs", isRunning)
    const waiting = await examples.submit({ pipeline: "nightly" })
    await examples.runUntil(waiting, "waits", isQueued)
    const urgent = await examples.submit({ pipeline: "hotfix" })
    await examples.runUntil(urgent, "waits", isQueued)
    await examples.send("POST", `/runs/${first}/cancel`)
    const [hotfix, nightly] = [await examples.ended(urgent), await examples.ended(waiting)]
    expect([hotfix.status, nightly.status]).toEqual(["succeeded", "succeeded"])
    expect(String(hotfix.finishedAt) <= String(nightly.startedAt)).toBe(true)
  }, 60_000)

  test("max-parallel.yaml has no more than two steps running at any moment, and two at some", async () => {
    await using examples = await startExampleHost(folder)
    const { steps } = await examples.ended(await examples.submit({ pipeline: "max-parallel" }))
    const together = steps.map(
      ({ startedAt }) =>
        steps.filter(
          (other) =>
            String(other.startedAt) <= String(startedAt) && String(startedAt) < String(other.finishedAt),
        ).length,
    )
    expect(Math.max(...together)).toBe(2)
  }, 60_000)

  test("once.yaml waits after a crash in the middle until somebody says how it ended", async () => {
    await using data = await tempFolder()
    let runId: string
    {
      await using examples = await startExampleHost(folder, { data: data.path })
      runId = await examples.submit({ pipeline: "once", set: ["seconds=60"] })
      const begun = join(examples.workspaceOf(runId), "begun")
      await until("the transfer begins", () => existsSync(begun))
    }
    await using examples = await startExampleHost(folder, { data: data.path })
    await examples.runUntil(runId, "waits", ({ message }) =>
      message.startsWith("outcome unknown: attempt 1 was cut off"),
    )
    const message = "transfer 4711 went through"
    await examples.send("POST", `/runs/${runId}/steps/pay/resolve`, { outcome: "succeeded", message })
    const run = await examples.ended(runId)
    expect([run.status, stepOf(run, "pay").attempt]).toEqual(["succeeded", 1])
    expect(await readFile(join(examples.workspaceOf(runId), "receipt"), "utf8")).toBe(`${message}\n`)
  }, 60_000)

  test("rerun.yaml does again what failed, or a step and what follows, or all of it", async () => {
    await using examples = await startExampleHost(folder)
    const failed = await examples.ended(await examples.submit({ pipeline: "rerun" }))
    const again = async (body?: object) => {
      const { runid } = await examples.send("POST", `/runs/${failed.runId}/rerun`, body)
      return examples.ended(String(runid))
    }
    expect(failed.status).toBe("failed")
    for (const body of [{ failed: true }, { from: "test" }]) {
      const run = await again(body)
      expect(run.status).toBe("succeeded")
      expect(stepOf(run, "build")).toEqual({ ...stepOf(failed, "build"), keptFrom: failed.runId })
    }
    const whole = await again()
    expect([whole.status, stepOf(whole, "build").keptFrom]).toEqual(["failed", undefined])
  }, 60_000)

  test("cleanup.yaml cleans up after a cancel in the middle", async () => {
    await using examples = await startExampleHost(folder)
    const runId = await examples.submit({ pipeline: "cleanup", set: ["test=slow"] })
    const database = join(examples.workspaceOf(runId), "database")
    await until("there is a database", () => existsSync(database))
    await examples.send("POST", `/runs/${runId}/cancel`)
    const run = await examples.ended(runId)
    expect(run.status).toBe("cancelled")
    expect(run.steps.map(({ id, status }) => `${id} ${status}`)).toEqual([
      "build succeeded",
      "test cancelled",
      "publish skipped",
      "test.ensure succeeded",
      "report succeeded",
    ])
    expect(existsSync(database)).toBe(false)
    expect(await linesOf(examples, runId, "report")).toEqual(["test cancelled"])
  }, 60_000)

  test("events.yaml has a run for each thing that happens to a resource", async () => {
    await using examples = await startExampleHost(folder)
    const body = { name: "shop", resource: "example", pipeline: "events", spec: {} }
    const created = await examples.send("POST", "/resources", body)
    const updated = await examples.send("PUT", "/resources/example/shop", { ...body, spec: { replicas: 2 } })
    const deleted = await fetch(`${examples.host.url}/resources/example/shop`, { method: "DELETE" })
    const said: string[] = []
    for (const id of [created["runid"], updated["runid"], deleted.headers.get("conveyor-run-id")]) {
      const run = await examples.ended(String(id))
      for (const { message } of await examples.linesOf(run.runId)) said.push(message)
    }
    expect(said).toEqual(["create of version 1", "update of version 2", "taken down"])
  }, 60_000)

  test("host-labels.yaml runs on a host with the label", async () => {
    await using examples = await startExampleHost(folder, { flags: { label: "gpu=yes" } })
    const run = await examples.ended(await examples.submit({ pipeline: "host-labels" }))
    expect([run.status, await linesOf(examples, run.runId, "train")]).toEqual(["succeeded", ["trained"]])
  }, 60_000)

  test("host-env.yaml reads a variable that the host lets through", async () => {
    await using examples = await startExampleHost(folder, { flags: { env: "GREETING" } })
    const { runId } = await examples.ended(await examples.submit({ pipeline: "host-env" }))
    expect(await linesOf(examples, runId, "greet")).toEqual(["hello from the host"])
  }, 60_000)

  test("http.yaml asks a host how it is", async () => {
    await using examples = await startExampleHost(folder)
    const url = `${examples.host.url}/health`
    const { runId } = await examples.ended(await examples.submit({ pipeline: "http", set: [`url=${url}`] }))
    expect(await linesOf(examples, runId, "show")).toEqual(["the host is ok"])
  }, 60_000)
})
