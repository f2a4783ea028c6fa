import { parseArgs } from "node:util"

/** The stores that are measured. */
export const storeNames = ["sqlite", "etcd"] as const
export type StoreName = (typeof storeNames)[number]

/** What can be measured by itself. */
export const measurementNames = ["ready", "load", "alone", "reload", "logs", "floors"] as const
export type MeasurementName = (typeof measurementNames)[number]

/** What to measure, and how often. */
export interface BenchOptions {
  readonly rounds: number
  /** Runs of the load with many in flight. */
  readonly runs: number
  readonly stores: readonly StoreName[]
  readonly only: ReadonlySet<MeasurementName>
  readonly json: boolean
  /** The executable to measure; undefined builds one. */
  readonly binary?: string
}

/** What `--help` prints. */
export const usage = `bun run bench [options]
  --rounds N       how often everything is measured; medians are over rounds (3)
  --runs N         runs of the load with 64 in flight (2000)
  --store NAME     sqlite, etcd or both (both)
  --only NAME      measure only this, may be repeated: ${measurementNames.join(", ")}
  --binary PATH    the executable to measure; default: one that is built now
  --json           print JSON instead of tables
`

/** Reads the command line; undefined when help was asked for. Throws with a sentence for the person. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      runs: { type: "string", default: "2000" },
      store: { type: "string", default: "both" },
      only: { type: "string", multiple: true, default: [...measurementNames] },
      binary: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) return undefined
  const { binary, json } = values
  return {
    rounds: count("rounds", values.rounds),
    runs: count("runs", values.runs),
    stores: values.store === "both" ? storeNames : [oneOf("store", values.store, storeNames)],
    only: new Set(values.only.map((name) => oneOf("only", name, measurementNames))),
    json,
    ...(binary === undefined ? {} : { binary }),
  }
}

function count(option: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${option} takes a whole number above 0, not "${text}"`)
}

function oneOf<Name extends string>(option: string, text: string, names: readonly Name[]): Name {
  const name = names.find((each) => each === text)
  if (name !== undefined) return name
  throw new Error(`--${option} takes one of ${names.join(", ")}, not "${text}"`)
}
