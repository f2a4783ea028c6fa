import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Pipeline, PipelineRecord } from "../../src/model/pipeline.ts"
import type { Run } from "../../src/model/run.ts"
import { pipelineKey, pipelineRevisionKey, prefixes, runKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { retentionOf } from "../retention/records.ts"
import { buildExecutable } from "../rig/executable.ts"
import { folderOf, serveWith, shellPipeline, waitForGate } from "../rig/host-process.ts"
import { until } from "../rig/until.ts"

/* The executable with a pipelines folder that people are not careful with. */

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

test("a pipelines folder that is deleted deletes nothing, and is followed again when it is made anew", async () => {
  await using folder = await folderOf({
    "pipelines/gate.json": shellPipeline("gate", `${waitForGate}; echo passed`),
    "pipelines/other.json": shellPipeline("other", "echo other"),
  })
  await using host = await serveWith([executable.path], { cwd: folder.path })
  const gate = join(folder.path, "gate")
  const pipelines = join(folder.path, "pipelines")
  const runId = await host.submit("gate", { gate })
  await until("it runs", async () => (await host.run(runId)).status === "running")

  await rm(pipelines, { recursive: true })
  await until(
    "the host says so",
    () => host.logged(/is not there; what its files declared before stays/).length > 0,
  )
  const during = await host.submit("other")
  expect((await host.ended(during)).status).toBe("succeeded")
  await Bun.write(gate, "")
  expect((await host.ended(runId)).status).toBe("succeeded")

  await mkdir(pipelines)
  await writeFile(join(pipelines, "gate.json"), shellPipeline("gate", "echo anew"))
  await until("the new file is read", async () =>
    JSON.stringify((await host.ask("/pipelines/gate")).body).includes("anew"),
  )
  const anew = await host.ended(await host.submit("gate"))
  expect(await host.messages(anew.runId)).toEqual(["anew"])
  // What is not in the new folder was deleted by whoever made it.
  await until(
    "what was not made anew is gone",
    async () => (await host.ask("/pipelines/other")).status === 404,
  )
  // And it is followed: a later edit is seen too.
  await writeFile(join(pipelines, "gate.json"), shellPipeline("gate", "echo later"))
  await until("a later edit is read", async () =>
    JSON.stringify((await host.ask("/pipelines/gate")).body).includes("later"),
  )
  expect(host.logged(/is not there; what its files declared before stays/)).toHaveLength(1)
}, 60_000)

async function recordOf<T>(store: Store, key: string): Promise<T> {
  const entry = await store.get(key)
  if (entry === undefined) throw new Error(`${key} is not in the store`)
  return JSON.parse(entry.value) as T
}

const edits = 1_000
const editsMs = 10_000

test("1,000 edits in 10 seconds: each run ends on the revision it began with, the last edit stands, and old ones go", async () => {
  const numbered = (n: number) => shellPipeline("busy", `echo ${n}`)
  await using folder = await folderOf({ "pipelines/busy.json": numbered(0) })
  const file = join(folder.path, "pipelines/busy.json")
  const runs: string[] = []
  {
    await using host = await serveWith([executable.path], { cwd: folder.path, args: ["--attempts-max", "8"] })
    const startedAt = performance.now()
    let isEditing = true
    const submitting = (async () => {
      while (isEditing) runs.push(await host.submit("busy"), await host.submit("busy"))
    })()
    for (let n = 1; n <= edits; n++) {
      // Half are written in place, and half are put in the place of the file, as editors do.
      if (n % 2 === 0) await writeFile(file, numbered(n))
      else {
        await writeFile(`${file}.new`, numbered(n))
        await rename(`${file}.new`, file)
      }
      await Bun.sleep(Math.max(0, (editsMs * n) / edits - (performance.now() - startedAt)))
    }
    isEditing = false
    await submitting
    await until("the last edit stands", async () =>
      JSON.stringify((await host.ask("/pipelines/busy")).body).includes(`echo ${edits}`),
    )

    const statuses = new Set<string>()
    for (const runId of runs) statuses.add((await host.ended(runId, 60_000)).status)
    expect([...statuses]).toEqual(["succeeded"])
    expect((await host.ask("/health")).status).toBe(200)
    host.process.kill("SIGTERM")
    expect(await host.process.exited).toBe(0)
  }
  await using store = await openSqlite(join(folder.path, ".conveyor/conveyor.sqlite"))
  const hashes = new Set<string>()
  for (const runId of runs) {
    const { hash } = (await recordOf<Run>(store, runKey(runId))).pipeline ?? { hash: "" }
    const revision = await recordOf<Pipeline>(store, pipelineRevisionKey(hash))
    const log = await Bun.file(join(folder.path, ".conveyor/logs", `${runId}.jsonl`)).text()
    const { message } = JSON.parse(log) as { message: string }
    expect(revision.steps[0]?.with?.["run"]).toBe(`echo ${message}`)
    hashes.add(hash)
  }
  expect(hashes.size).toBeGreaterThan(20)

  let monotonicMs = 0
  await using retention = retentionOf(store, {
    limits: { keepRunsMax: 10 },
    now: () => ({ wallMs: Date.now(), monotonicMs }),
    unreferencedForMs: 1_000,
  })
  await retention.pass()
  monotonicMs = 2_000
  await retention.pass()
  const revisions = (await store.list(prefixes.pipelineRevisions)).entries
  expect(revisions.length).toBeLessThanOrEqual(11)
  const { hash } = await recordOf<PipelineRecord>(store, pipelineKey("busy"))
  expect(revisions.map(({ key }) => key)).toContain(`${prefixes.pipelineRevisions}${hash}`)
}, 120_000)
