import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import { startEtcd } from "../rig/etcd.ts"
import { buildExecutable } from "../rig/executable.ts"
import { measureEtcdFloors } from "./floor-etcd.ts"
import { measureMachineFloors } from "./floor-machine.ts"
import { measureSqliteFloors } from "./floor-sqlite.ts"
import { type HostOptions, startHostProcess } from "./host-process.ts"
import { measureAlone, measureLoad } from "./measure-load.ts"
import { measureLogs } from "./measure-logs.ts"
import { measureReady } from "./measure-ready.ts"
import { measureReload } from "./measure-reload.ts"
import type { Values } from "./metrics.ts"
import { type BenchOptions, type MeasurementName, readOptions, type StoreName, usage } from "./options.ts"
import { type Section, summarise } from "./results.ts"
import { tableOf } from "./table.ts"

/* Measures the executable over HTTP, and in the same run the floors it stands on. Results go to stdout. */

/** Measurements that share one host, in this order. */
const onHost: readonly MeasurementName[] = ["load", "alone", "reload", "logs"]

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
const options = readOptions(process.argv.slice(2))
if (options === undefined) process.stdout.write(usage)
else print(await bench(options), options)

async function bench(options: BenchOptions): Promise<ReadonlyMap<string, Section>> {
  await using built = await executable(options)
  const machine: Values[] = []
  const stores = new Map<StoreName, Values[]>(options.stores.map((store) => [store, []]))
  for (let round = 1; round <= options.rounds; round++) {
    if (options.only.has("floors")) machine.push(await measureMachineFloors())
    for (const [store, values] of stores) {
      progress(`round ${round} of ${options.rounds}: ${store}`)
      values.push(await measureStore(store, { executable: built.path, options }))
    }
  }
  const sections = new Map<string, Section>()
  for (const [store, rounds] of stores) {
    sections.set(store, summarise(rounds, { machine, targets: store === "sqlite" }))
  }
  if (machine.length > 0) sections.set("machine", summarise(machine, { machine: [], targets: false }))
  return sections
}

/** One round on one store. Each host has a store of its own that is empty when it starts. */
async function measureStore(
  name: StoreName,
  { executable, options: { only, runs } }: { readonly executable: string; readonly options: BenchOptions },
): Promise<Values> {
  await using etcd = name === "etcd" ? await startEtcd() : undefined
  const endEtcd = () => void etcd?.kill()
  process.once("exit", endEtcd)
  const hostOptions = (): HostOptions => ({
    executable,
    ...(etcd === undefined
      ? {}
      : { store: `etcd://${new URL(etcd.endpoint).host}/bench-${Bun.randomUUIDv7()}` }),
  })
  const values: Values[] = []
  if (only.has("ready")) values.push(await measureReady(hostOptions))
  if (onHost.some((each) => only.has(each))) {
    await using host = await startHostProcess(hostOptions())
    if (only.has("load")) values.push(await measureLoad(host, runs))
    if (only.has("alone")) values.push(await measureAlone(host))
    if (only.has("reload")) values.push(await measureReload(host))
    if (only.has("logs")) values.push(await measureLogs(host))
  }
  if (only.has("floors")) {
    values.push(etcd === undefined ? await measureSqliteFloors() : await measureEtcdFloors(etcd.endpoint))
  }
  process.off("exit", endEtcd)
  return Object.assign({}, ...values)
}

async function executable({ binary }: BenchOptions) {
  if (binary !== undefined) return { path: resolve(binary), [Symbol.asyncDispose]: async () => {} }
  progress("building the executable")
  return await buildExecutable()
}

function print(sections: ReadonlyMap<string, Section>, { json, rounds, runs }: BenchOptions): void {
  if (json) {
    const results = Object.fromEntries(
      [...sections].map(([name, section]) => [name, Object.fromEntries(section)]),
    )
    process.stdout.write(`${JSON.stringify({ rounds, runs, ...results }, null, 2)}\n`)
    return
  }
  process.stdout.write(`${rounds} rounds on ${availableParallelism()} cores\n\n`)
  for (const [name, section] of sections) process.stdout.write(`${tableOf(name, section)}\n`)
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`)
}
