import { readdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import type { Run } from "../model/run.ts"
import { isUuid } from "../model/uuid.ts"
import { prefixes } from "../store/keys.ts"
import type { Store } from "../store/store.ts"
import { isOfStore } from "./data-owner.ts"
import type { StrayResults } from "./stray-results.ts"
import { type Moment, pages, type RetentionLimits } from "./sweep.ts"

export interface LocalFilesOptions {
  readonly store: Store
  /** The data folder. */
  readonly data: string
  readonly limits: RetentionLimits
  readonly at: Moment
  readonly pause: () => Promise<void>
  readonly strays: StrayResults
}

/**
 * Deletes the logs, workspaces and results in this host's data folder of runs that are gone, and the workspaces of runs
 * that ended long enough ago. Results stay while any run refers to them; what nothing refers to of a run that has ended
 * goes. Where the folder was used with another store first, a run that this one does not know may be one of the other's:
 * its files stay as long as runs are kept. Answers how many files and folders are gone.
 */
export async function collectLocalFiles(options: LocalFilesOptions): Promise<number> {
  const { store, data, at, limits } = options
  // The folders first: a run's header is there before its files are, so what has no header then has none any more.
  const files = [
    ...(await filesIn(join(data, "logs"), "log")),
    ...(await filesIn(join(data, "workspaces"), "workspace")),
    ...(await filesIn(join(data, "results"), "results")),
  ]
  if (files.length === 0) return 0
  const isOwn = await isOfStore(data, store)
  const { finished, dataFrom } = await readHeaders(options, new Set(files.map(({ runId }) => runId)))
  let removed = 0
  for (const file of files) {
    // Also while the run is there itself: its steps, which refer to the same data, may be about to go.
    if (file.type === "results" && dataFrom.has(file.runId)) continue
    const endedAtMs = finished.get(file.runId)
    const isOver =
      endedAtMs === undefined
        ? isOwn || at.wallMs - (await writtenAtMs(file.path)) > limits.keepRunsForMs
        : file.type === "workspace" && at.wallMs - endedAtMs > limits.keepWorkspacesForMs
    if (!isOver) {
      const hasEnded = endedAtMs !== undefined && endedAtMs < Number.POSITIVE_INFINITY
      if (file.type === "results" && hasEnded) removed += await options.strays.collect(file.runId, file.path)
      continue
    }
    await rm(file.path, { recursive: true, force: true })
    if (file.type === "results") options.strays.forget(file.runId)
    removed++
    await options.pause()
  }
  return removed
}

async function writtenAtMs(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.mtimeMs ?? Number.POSITIVE_INFINITY
}

interface RunFile {
  readonly type: "log" | "workspace" | "results"
  readonly runId: string
  readonly path: string
}

/** When each of these runs that the store knows ended; a run that has not, never. And whose results any run refers to. */
async function readHeaders(options: LocalFilesOptions, runIds: ReadonlySet<string>) {
  const finished = new Map<string, number>()
  const dataFrom = new Set<string>()
  for await (const { entries } of pages(options, prefixes.runHeaders)) {
    for (const { key, value } of entries) {
      const runId = key.slice(prefixes.runHeaders.length)
      if (!runIds.has(runId) && !value.includes('"dataFrom"')) continue
      const run = JSON.parse(value) as Run
      for (const source of run.dataFrom ?? []) dataFrom.add(source)
      const atMs = "finishedAt" in run ? Date.parse(run.finishedAt) : Number.POSITIVE_INFINITY
      finished.set(runId, atMs)
    }
  }
  return { finished, dataFrom }
}

/** The files or folders in a folder that are named after runs; what else lies there is not ours. */
async function filesIn(folder: string, type: RunFile["type"]): Promise<RunFile[]> {
  const ending = type === "log" ? ".jsonl" : ""
  const names = await readdir(folder).catch(() => [])
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => ({ type, runId: name.slice(0, name.length - ending.length), path: join(folder, name) }))
    .filter(({ runId }) => isUuid(runId))
}
