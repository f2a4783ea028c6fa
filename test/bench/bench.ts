import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import { buildExecutable } from "../rig/executable.ts"
import { startHostProcess } from "./host-process.ts"
import { measureAlone, measureLoad } from "./measure-load.ts"
import type { Values } from "./metrics.ts"
import { type BenchOptions, readOptions, type StoreName, usage } from "./options.ts"
import { type Section, summarise } from "./results.ts"
import { tableOf } from "./table.ts"

/* Measures the executable over HTTP, and in the same run the floors it stands on. Results go to stdout. */

const options = readOptions(process.argv.slice(2))
if (options === undefined) process.stdout.write(usage)
else print(await bench(options), options)

async function bench(options: BenchOptions): Promise<ReadonlyMap<string, Section>> {
  await using built = await executable(options)
  const stores = new Map<StoreName, Values[]>(options.stores.map((store) => [store, []]))
  for (let round = 1; round <= options.rounds; round++) {
    for (const [store, values] of stores) {
      progress(`round ${round} of ${options.rounds}: ${store}`)
      values.push(await measureStore(built.path, options))
    }
  }
  return new Map([...stores].map(([store, rounds]) => [store, summarise(rounds)]))
}

async function measureStore(path: string, { only, runs }: BenchOptions): Promise<Values> {
  await using host = await startHostProcess({ executable: path })
  return {
    ...(only.has("load") ? await measureLoad(host, runs) : {}),
    ...(only.has("alone") ? await measureAlone(host) : {}),
  }
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
