import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join, relative } from "node:path"
import { type Flags, loadConfig } from "../config.ts"
import { ConveyorError, messageOf } from "../errors.ts"
import { type Host, startHost } from "../host.ts"
import { describeFault } from "../model/fault.ts"
import { processLog } from "./process-log.ts"
import type { RunPlaces } from "./run-output.ts"

/** A host for one run. */
export interface LocalHost {
  readonly host: Host
  /** Where its pipelines are read from, for people. */
  readonly pipelines: string
  /** Where a run's files are. */
  readonly places: (runId: string) => RunPlaces
  /** For when nothing was run, after the host has stopped: removes the data folder if it is a new temporary one. */
  discard(): Promise<void>
}

/**
 * Starts a host for one run, on a free port of the loopback address. It always has an embedded store of its own: in
 * the data folder that was named, else in a new temporary one, which stays behind with the log and the workspace. A
 * `file` takes the place of the pipelines folder. Throws `INVALID` when the file has faults, and what starting throws.
 */
export async function startLocalHost(options: {
  readonly settings: Flags
  readonly file?: string
}): Promise<LocalHost> {
  const named = options.settings.data ?? process.env["CONVEYOR_DATA"]
  const folder = named ? undefined : await mkdtemp(join(tmpdir(), "conveyor-run-"))
  const settings = await loadConfig({
    flags: { ...options.settings, data: folder ?? named },
    env: process.env,
    cwd: process.cwd(),
  })
  const pipelines =
    options.file === undefined ? settings.pipelines : await folderOf(options.file, settings.data)
  // What is wrong with a file is said by the error that is thrown, and not a second time here.
  const log = processLog(options.file === undefined ? settings.logLevel : "silent", { plain: true })
  const discard = async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
  const host = await startHost(
    {
      ...settings,
      host: "127.0.0.1",
      port: 0,
      pipelines,
      store: { type: "sqlite", file: join(settings.data, "conveyor.sqlite") },
    },
    { log },
  )
  if (options.file !== undefined) {
    const name = basename(options.file)
    const faults = host.loaded.faults.filter((fault) => fault.file === name && fault.severity !== "warning")
    if (faults.length > 0) {
      await host.stop()
      await discard()
      throw new ConveyorError("INVALID", `${options.file} cannot be run`, { faults })
    }
    log.level = settings.logLevel
    for (const fault of host.loaded.faults) log.error(describeFault(fault))
  }
  const places = (runId: string): RunPlaces => ({
    workspace: join(settings.data, "workspaces", runId),
    log: join(settings.data, "logs", `${runId}.jsonl`),
  })
  return { host, pipelines: relative(process.cwd(), pipelines) || ".", places, discard }
}

/** A folder that holds the file and nothing else, so that its neighbours are neither loaded nor watched. */
async function folderOf(file: string, data: string): Promise<string> {
  await mkdir(data, { recursive: true })
  const folder = await mkdtemp(join(data, "pipeline-"))
  await copyFile(file, join(folder, basename(file))).catch((cause: unknown) => {
    throw new ConveyorError("NOT_FOUND", `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  return folder
}
