import { stat } from "node:fs/promises"
import { type Config, type Flags, loadConfig, type StoreConfig } from "../config.ts"
import { ConveyorError } from "../errors.ts"
import { checkFiles } from "../results/check-files.ts"
import { checkStore } from "../store/check.ts"
import { DataLeftBehind, describeData } from "../store/data-refs.ts"
import { exportLines, readExport } from "../store/export.ts"
import { knownFolderId } from "../store/folder-id.ts"
import { openStore } from "../store/open.ts"
import { refuseLiveHosts, type Snapshot, takeSnapshot } from "../store/snapshot.ts"
import type { Store } from "../store/store.ts"
import { fillStore } from "../store/transfer.ts"
import { version } from "../version.ts"
import { readBytes, spool, writeText } from "./export-file.ts"
import { printable } from "./terminal.ts"

/*
 * `conveyor store …`: what is done to a store while no host runs on it. An embedded store is open in one process at
 * most, so a host that runs is found out by opening it; in etcd every host has a record for as long as it lives.
 */

export interface StoreOptions {
  /** What was typed of the settings; they say which store. */
  readonly settings: Flags
  /** Go on although hosts run on it: the snapshot is of one moment, and what comes later is not in it. */
  readonly force?: boolean
}

/** `conveyor store export FILE`: everything in the store into a new file, or to the standard output for `-`. */
export async function exportStore(file: string, options: StoreOptions): Promise<number> {
  const config = await settled(options.settings)
  await using store = await openExisting(config.store)
  const snapshot = await snapshotOf(store, options)
  using progress = progressOf(snapshot.count)
  const about = { version, createdAt: new Date().toISOString() }
  const left = new DataLeftBehind()
  const exported = { ...snapshot, entries: () => left.seenIn(snapshot.entries()) }
  await writeText(file, withProgress(exportLines(exported, about), progress.show))
  progress.done(`exported ${counted(snapshot.count)} of ${describe(config.store)}`, left.describe())
  return 0
}

/** `conveyor store import FILE`: fills an empty store from an export, once all of it is known to be good. */
export async function importStore(file: string, { settings }: StoreOptions): Promise<number> {
  const config = await settled(settings)
  const name = file === "-" ? "the standard input" : file
  await using spooled = await spool(file)
  const read = () => readExport(readBytes(spooled.path), name)
  for await (const _ of read());
  await using store = await openStore(config.store)
  using progress = progressOf(undefined)
  const left = new DataLeftBehind()
  const { entries } = await fillStore(store, left.seenIn(read()), { now, onProgress: progress.show })
  progress.done(`imported ${counted(entries)} into ${describe(config.store)}`, left.describe())
  return 0
}

/** `conveyor store copy --to URL`: everything in the store into another one, which must be empty. */
export async function copyStore(to: string, options: StoreOptions): Promise<number> {
  const source = await settled(options.settings)
  const target = await targetOf(to, options.settings)
  await using from = await openExisting(source.store)
  const snapshot = await snapshotOf(from, options)
  await using store = await openStore(target.store)
  using progress = progressOf(snapshot.count)
  const left = new DataLeftBehind()
  await fillStore(store, left.seenIn(snapshot.entries()), { now, onProgress: progress.show })
  progress.done(
    `copied ${counted(snapshot.count)} from ${describe(source.store)} to ${describe(target.store)}`,
    left.describe(),
  )
  return 0
}

/**
 * `conveyor store check`: prints each fault of the store, and of the large data in the data folder that it refers to. Answers
 * 1 when there is one.
 */
export async function checkStoreFaults({
  settings,
  json,
}: StoreOptions & { readonly json: boolean }): Promise<number> {
  const config = await settled(settings)
  await using store = await openExisting(config.store)
  const { entries, runs, faults: ofStore, data } = await checkStore(store)
  const { faults: ofFiles, elsewhere } = await checkFiles(data, {
    data: config.data,
    folder: await knownFolderId(config.data),
  })
  const faults = [...ofStore, ...ofFiles]
  if (json) console.log(JSON.stringify({ entries, runs, faults, dataElsewhere: elsewhere }, undefined, 2))
  else {
    for (const { key, message } of faults) console.log(printable(`${key}: ${message}`))
    const verdict =
      faults.length === 0 ? "all well" : faults.length === 1 ? "1 fault" : `${faults.length} faults`
    console.log(`${counted(entries)}, ${runs} ${runs === 1 ? "run" : "runs"}: ${verdict}`)
    if (elsewhere > 0)
      console.log(`not looked for: ${describeData(elsewhere)}, which lies in other data folders`)
  }
  return faults.length === 0 ? 0 : 1
}

const now = () => new Date().toISOString()

async function settled(flags: Flags): Promise<Config> {
  const config = await loadConfig({ flags, env: process.env, cwd: process.cwd() })
  if (config.store.type === "memory")
    throw new ConveyorError(
      "USAGE",
      "A store in memory is gone when its host stops: there is nothing to move",
    )
  return config
}

/** The settings are known to be good, so what is wrong now is wrong with `to`. */
async function targetOf(to: string, settings: Flags): Promise<Config> {
  return await settled({ ...settings, store: to }).catch((error: unknown) => {
    const [fault] = error instanceof ConveyorError ? error.faults : []
    if (fault === undefined) throw error
    throw new ConveyorError("USAGE", fault.message.replace("--store", "--to"), { cause: error })
  })
}

/** An embedded store is made when it is opened, which is no answer to a wrong path. */
async function openExisting(config: StoreConfig): Promise<Store> {
  if (config.type === "sqlite") {
    await stat(config.file).catch((cause: unknown) => {
      throw new ConveyorError("NOT_FOUND", `There is no store at ${config.file}`, { cause })
    })
  }
  return await openStore(config)
}

async function snapshotOf(store: Store, { force = false }: StoreOptions): Promise<Snapshot> {
  if (!force) await refuseLiveHosts(store)
  return await takeSnapshot(store)
}

function describe(store: StoreConfig): string {
  switch (store.type) {
    case "sqlite":
      return store.file
    case "memory":
      return "memory"
    case "etcd":
      return `etcd://${store.endpoints.join(",")}/${store.prefix}`
    default:
      return store satisfies never
  }
}

function counted(entries: number): string {
  return entries === 1 ? "1 entry" : `${entries} entries`
}

/** How often a terminal shows how far it is. */
const progressMs = 100

/** Shows on a terminal how far it is, and says at the end what was done: on stderr, as stdout may be the export. */
function progressOf(total: number | undefined) {
  let shownAt = 0
  const clear = () => {
    if (shownAt > 0) process.stderr.write("\r\x1b[K")
    shownAt = 0
  }
  return {
    show(entries: number) {
      if (process.stderr.isTTY !== true || performance.now() - shownAt < progressMs) return
      shownAt = performance.now()
      process.stderr.write(`\r${total === undefined ? entries : `${entries} of ${total}`} entries`)
    },
    done(message: string, more?: string) {
      clear()
      process.stderr.write(more === undefined ? `${message}\n` : `${message}\n${more}\n`)
    },
    [Symbol.dispose]: clear,
  }
}

async function* withProgress(
  lines: AsyncIterable<string>,
  show: (count: number) => void,
): AsyncGenerator<string> {
  let count = 0
  for await (const line of lines) {
    yield line
    // The header is a line too, and no entry.
    show(count++)
  }
}
