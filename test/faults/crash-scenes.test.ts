import { afterAll, beforeAll, expect, test } from "bun:test"
import { readdir, stat, truncate } from "node:fs/promises"
import { join } from "node:path"
import { findProcesses } from "../../src/drivers/process-marks.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { buildExecutable } from "../rig/executable.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"
import { CrashingHost } from "./crashing-host.ts"
import { faultOfLog } from "./note-driver.ts"

/* Crashes of the executable at moments that are no commits. */

/** Starts of a process take long on a machine that does much else. */
const patienceMs = 120_000

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

type Steps = PipelineSource["steps"]

const hostIn = (folder: string, steps: Steps) =>
  CrashingHost.in({ executable: executable.path, folder, drivers: ["work"], pipeline: { steps } })

const slowFirst: Steps = [
  { id: "first", driver: "work", with: { sleepMs: 1_500 } },
  { id: "last", driver: "work" },
]

/** A host with a run in the middle of its first step, which has logged three lines. */
async function underWay(folder: string) {
  const host = await hostIn(folder, slowFirst)
  await host.start()
  const runId = await host.submit()
  await until("the step runs", async () => (await host.notes()).some(({ word }) => word === "line 3"))
  return { host, runId, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() }
}

test(
  "a host that is killed while it drains leaves its run to the next, and no process",
  async () => {
    await using folder = await tempFolder()
    await using scene = await underWay(folder.path)
    const { host, runId } = scene
    host.signal("SIGTERM")
    await host.printed(/stopping/)
    await host.kill()
    expect(findProcesses({ type: "data", data: host.data })).not.toEqual([])

    await host.start()
    const run = await host.settled(runId)
    expect(run).toMatchObject({ status: "succeeded", steps: [{ attempt: 2 }, { attempt: 1 }] })
    expect(faultOfLog(await host.log(runId), await host.notes())).toBeUndefined()
    await host.kill()
    expect(findProcesses({ type: "data", data: host.data })).toEqual([])
  },
  patienceMs,
)

test(
  "a commit that a power cut tore apart never happened, and the run goes on from the one before it",
  async () => {
    await using folder = await tempFolder()
    await using host = await hostIn(folder.path, slowFirst.slice(1))
    await host.start()
    const runId = await host.submit()
    await host.settled(runId)
    await host.kill()
    const wal = join(host.data, "conveyor.sqlite-wal")
    await truncate(wal, (await stat(wal)).size - 1_000)

    await host.start()
    expect(await host.settled(runId)).toMatchObject({ status: "succeeded", steps: [{ status: "succeeded" }] })
    expect(await host.submit()).toBe(runId)
  },
  patienceMs,
)

test(
  "a log line that was torn apart is cut off, and those before it stand",
  async () => {
    await using folder = await tempFolder()
    await using scene = await underWay(folder.path)
    const { host, runId } = scene
    await host.kill()
    const before = await host.log(runId)
    const file = join(host.data, "logs", `${runId}.jsonl`)
    await Bun.write(file, `${await Bun.file(file).text()}{"sequence":${before.length + 1},"at":"20`)

    await host.start()
    await host.settled(runId)
    const after = await host.log(runId)
    expect(after.slice(0, before.length)).toEqual([...before])
    expect(faultOfLog(after, await host.notes())).toBeUndefined()
  },
  patienceMs,
)

test(
  "a host that is killed again and again while a pipeline is edited serves the last edit",
  async () => {
    await using folder = await tempFolder()
    await using host = await hostIn(folder.path, slowFirst.slice(1))
    const file = join(folder.path, "pipelines/release.json")
    const edits = 12
    for (let edit = 1; edit <= edits; edit++) {
      await host.start()
      const source = { name: "release", resource: "app", steps: slowFirst.slice(1), metadata: { edit } }
      await Bun.write(file, JSON.stringify(source))
      // From before the change is noticed until after it is committed.
      await Bun.sleep(10 * edit)
      await host.kill()
    }
    await host.start()
    const response = await fetch(`${host.url}/pipelines/release`)
    expect(await response.json()).toMatchObject({ metadata: { edit: edits } })
    const runId = await host.submit()
    expect(await host.settled(runId)).toMatchObject({ status: "succeeded" })
    expect((await host.notes()).map(({ edit }) => edit)).toContain(edits)
    expect(await readdir(join(folder.path, "pipelines"))).toContain("release.json")
  },
  patienceMs,
)
