import { expect, test } from "bun:test"
import { mkdir, readdir, utimes } from "node:fs/promises"
import { join } from "node:path"
import { openSqlite } from "../../src/store/sqlite.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { dayMs, nowMs, putRun, retentionOf } from "./records.ts"

/** A log and a workspace of a run, as they are on disk. */
async function writeFiles(data: string, runId: string): Promise<void> {
  await Bun.write(join(data, "logs", `${runId}.jsonl`), "{}\n")
  await mkdir(join(data, "workspaces", runId, ".git"), { recursive: true })
  await Bun.write(join(data, "workspaces", runId, ".git", "HEAD"), "main")
}

const logsIn = async (data: string) =>
  (await readdir(join(data, "logs"))).map((name) => name.slice(0, 36)).sort()
const workspacesIn = async (data: string) => (await readdir(join(data, "workspaces"))).sort()

test("the log and the workspace of a run go with it, and the workspace of an ended one before it", async () => {
  await using folder = await tempFolder()
  await using store = await openSqlite(":memory:")
  const gone = await putRun(store, { endedDaysAgo: 40 })
  const older = await putRun(store, { endedDaysAgo: 2 })
  const newer = await putRun(store, { endedDaysAgo: 0.5 })
  const going = await putRun(store)
  for (const runId of [gone, older, newer, going]) await writeFiles(folder.path, runId)
  await Bun.write(join(folder.path, "workspaces", "mine", "notes"), "of a person")
  await using retention = retentionOf(store, {
    data: folder.path,
    limits: { keepRunsForMs: 30 * dayMs, keepWorkspacesForMs: dayMs },
  })
  expect(await retention.pass()).toMatchObject({ runs: 1, files: 3 })
  expect(await logsIn(folder.path)).toEqual([older, newer, going])
  expect(await workspacesIn(folder.path)).toEqual([newer, going, "mine"])
})

test("each host collects its own files, whichever of them collects the store", async () => {
  await using store = await openSqlite(":memory:")
  await using one = await tempFolder()
  await using other = await tempFolder()
  const gone = await putRun(store, { endedDaysAgo: 40 })
  for (const { path } of [one, other]) await writeFiles(path, gone)
  const limits = { keepRunsForMs: 30 * dayMs }
  await using collecting = retentionOf(store, { data: one.path, limits })
  await using waiting = retentionOf(store, { data: other.path, limits })
  expect((await collecting.pass()).runs).toBe(1)
  expect(await waiting.pass()).toMatchObject({ runs: 0, files: 2 })
  for (const { path } of [one, other]) expect(await logsIn(path)).toEqual([])
})

test("files of runs of another store stay as long as runs are kept", async () => {
  await using folder = await tempFolder()
  await using store = await openSqlite(":memory:")
  const run = await putRun(store, { endedDaysAgo: 1 })
  await writeFiles(folder.path, run)
  await using first = retentionOf(store, { data: folder.path })
  await first.pass()
  await using elsewhere = await openSqlite(":memory:")
  await using second = retentionOf(elsewhere, { data: folder.path, limits: { keepRunsForMs: 30 * dayMs } })
  for (let n = 0; n < 2; n++) expect((await second.pass()).files).toBe(0)
  expect(await logsIn(folder.path)).toEqual([run])
  expect(await workspacesIn(folder.path)).toEqual([run])
  const longAgo = new Date(nowMs - 31 * dayMs)
  await utimes(join(folder.path, "logs", `${run}.jsonl`), longAgo, longAgo)
  expect((await second.pass()).files).toBe(1)
  expect(await logsIn(folder.path)).toEqual([])
})
