import { readFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import * as v from "valibot"
import { ConveyorError } from "./errors.ts"
import { durationSchema, parseDuration } from "./model/duration.ts"
import type { Fault } from "./model/fault.ts"
import { type Labels, parseLabels } from "./model/labels.ts"
import { nearestName } from "./model/nearest.ts"

/** The whole configuration of a host, validated, defaults applied, paths absolute. Frozen: nothing changes it later. */
export interface Config {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Where the other hosts reach this one's API, without a slash at the end; undefined: told from `host` and `port`. */
  readonly advertise: string | undefined
  /** The data folder: store, logs, workspaces, driver bundles. */
  readonly data: string
  readonly drivers: string
  readonly pipelines: string
  readonly store: StoreConfig
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent"
  /** How long running attempts may go on after SIGTERM, and between an attempt's SIGTERM and SIGKILL. */
  readonly graceMs: number
  /** Attempts running at the same time on this host. */
  readonly attemptsMax: number
  /** How much memory the heap of a driver's worker thread may hold. */
  readonly workerBytesMax: number
  /** How long a host that died keeps its claims. */
  readonly leaseTtlMs: number
  /** Ended runs older than this are deleted, with their logs and workspaces. */
  readonly keepRunsForMs: number
  /** Of ended runs, this many of the newest are kept at the most. */
  readonly keepRunsMax: number
  /** Earlier versions of each resource that are kept, beside those that a kept run refers to. */
  readonly keepVersionsMax: number
  /** Workspaces of runs that ended longer ago than this are deleted. */
  readonly keepWorkspacesForMs: number
  /** What pipelines may ask for with `host`. */
  readonly labels: Labels
  /** The host's variables that expressions may read, as they are now. */
  readonly env: { readonly [name: string]: string }
  /** For tests of crashes: the host is killed right after this many commits. */
  readonly killAfterCommit?: number
}

export type StoreConfig =
  | { readonly type: "sqlite"; readonly file: string }
  | { readonly type: "memory" }
  | { readonly type: "etcd"; readonly endpoints: readonly string[]; readonly prefix: string }

/** One setting: its flag is `--<name>`, its variable `CONVEYOR_<NAME>`, its key in conveyor.yml `<name>`. */
interface Setting {
  readonly argument: string
  readonly description: string
  /** As a person would write it. */
  readonly default: string
}

const logLevels = ["debug", "info", "warn", "error", "silent"] as const

/** Every setting there is, by its name; the order is that of the help page. */
export const settings = {
  host: { argument: "<address>", description: "address to listen on", default: "127.0.0.1" },
  port: { argument: "<number>", description: "port to listen on, 0 picks a free one", default: "8080" },
  advertise: {
    argument: "<url>",
    description: "where other hosts reach this one, such as http://10.0.0.7:8080",
    default: "",
  },
  data: {
    argument: "<folder>",
    description: "store, logs, workspaces and large data",
    default: "./.conveyor",
  },
  drivers: { argument: "<folder>", description: "driver plugins", default: "./drivers" },
  pipelines: { argument: "<folder>", description: "pipeline files", default: "./pipelines" },
  store: {
    argument: "<where>",
    description: "sqlite, sqlite:FILE, memory, or etcd://HOST:PORT[,HOST:PORT][/PREFIX]",
    default: "sqlite",
  },
  "log-level": { argument: "<level>", description: logLevels.join(", "), default: "warn" },
  grace: {
    argument: "<duration>",
    description: "what running attempts get when the host stops",
    default: "10s",
  },
  "attempts-max": { argument: "<number>", description: "attempts running at the same time", default: "64" },
  "worker-memory": {
    argument: "<MiB>",
    description: "memory a driver's worker may hold",
    default: "1024",
  },
  label: {
    argument: "<key=value>",
    description: "what pipelines may ask of a host; repeatable",
    default: "",
  },
  env: {
    argument: "<names>",
    description: "variables that expressions may read: NAME[,NAME…]",
    default: "",
  },
  "lease-ttl": {
    argument: "<duration>",
    description: "how long a dead host keeps its claims",
    default: "10s",
  },
  "keep-runs-for": {
    argument: "<duration>",
    description: "how long ended runs and their logs are kept",
    default: "30d",
  },
  "keep-runs": { argument: "<number>", description: "ended runs kept at the most", default: "10000" },
  "keep-versions": {
    argument: "<number>",
    description: "earlier versions kept of each resource",
    default: "20",
  },
  "keep-workspaces-for": {
    argument: "<duration>",
    description: "how long workspaces of ended runs are kept",
    default: "24h",
  },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof settings
const settingNames = Object.keys(settings) as SettingName[]

/** What was typed, by the setting's name; `config` names the file to read instead of ./conveyor.yml. */
export type Flags = { readonly [name in SettingName | "config"]?: string | undefined }

/**
 * Settles the configuration: flags, then `CONVEYOR_*` variables, then conveyor.yml, then defaults. Relative paths
 * are relative to `cwd`, those in the file to the file. A variable that is set but empty counts as not set.
 * Throws `INVALID` with every fault at once, each naming its flag, variable, or file and line.
 */
export async function loadConfig(input: {
  readonly flags: Flags
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}): Promise<Config> {
  const named = input.flags.config ?? (input.env["CONVEYOR_CONFIG"] || undefined)
  const file = await readSettingsFile(named, input.cwd)
  const faults = [...file.faults]
  const given = (name: SettingName): Given => {
    const flag = input.flags[name]
    if (flag !== undefined) return { value: flag, label: `--${name}`, base: input.cwd }
    const variable = `CONVEYOR_${name.toUpperCase().replaceAll("-", "_")}`
    const set = input.env[variable]
    if (set) return { value: set, label: variable, base: input.cwd }
    return file.given.get(name) ?? { value: settings[name].default, label: name, base: input.cwd }
  }
  const read = <T>(name: SettingName, schema: v.GenericSchema<unknown, T>): T => {
    const { value, label, place } = given(name)
    const result = v.safeParse(schema, value)
    if (result.success) return result.output
    const nearest = nearestOf(name, value)
    faults.push({
      message: `${label}: ${result.issues[0].message}, not ${JSON.stringify(value)}`,
      ...(nearest === undefined ? {} : { nearest }),
      ...place,
    })
    return undefined as T // never seen: a fault throws below
  }
  const path = (name: SettingName) => resolve(given(name).base, read(name, textSchema) ?? "")

  const data = path("data")
  const config: Config = {
    host: read("host", textSchema),
    port: read("port", integerSchema(0, 65_535)),
    advertise: read("advertise", advertiseSchema),
    data,
    drivers: path("drivers"),
    pipelines: path("pipelines"),
    store: locate(read("store", storeSchema), { data, base: given("store").base }),
    logLevel: read("log-level", logLevelSchema),
    graceMs: read("grace", durationSchema),
    attemptsMax: read("attempts-max", integerSchema(1, 10_000)),
    workerBytesMax: (read("worker-memory", integerSchema(16, 1_000_000)) ?? 0) * 1024 * 1024,
    leaseTtlMs: read("lease-ttl", leaseTtlSchema),
    keepRunsForMs: read("keep-runs-for", keepForSchema),
    keepRunsMax: read("keep-runs", integerSchema(0, 1_000_000)),
    keepVersionsMax: read("keep-versions", integerSchema(1, 100_000)),
    keepWorkspacesForMs: read("keep-workspaces-for", keepForSchema),
    labels: read("label", labelSchema),
    env: chosen(read("env", namesSchema), input.env),
    ...faultPoint(input.env["CONVEYOR_FAULT_KILL_AFTER_COMMIT"]),
  }
  if (faults.length > 0) {
    throw new ConveyorError("INVALID", "The configuration is not valid", { faults })
  }
  return Object.freeze(config)
}

/** A value, where it came from in words or as a place in a file, and what its paths are relative to. */
interface Given {
  readonly value: unknown
  readonly label: string
  readonly base: string
  readonly place?: Pick<Fault, "file" | "line" | "column">
}

const textSchema = v.pipe(v.string("Expected a text"), v.minLength(1, "Expected a text"))

const advertiseRule = "Expected an http or https address such as http://10.0.0.7:8080"
const advertiseSchema = v.pipe(
  v.string(advertiseRule),
  v.check((text) => text === "" || /^https?:\/\/[^/?#]+\/?$/.test(text), advertiseRule),
  v.check((text) => text === "" || URL.canParse(text), advertiseRule),
  v.transform((text) => text.replace(/\/$/, "") || undefined),
)
const logLevelSchema = v.picklist(logLevels, `Expected one of ${logLevels.join(", ")}`)
const leaseTtlSchema = v.pipe(
  durationSchema,
  v.minValue(1_000, "Expected at least 1s"),
  v.maxValue(3_600_000, "Expected at most 1h"),
)

const labelRule = "Expected KEY=VALUE[,KEY=VALUE…]"
const labelSchema = v.pipe(
  v.string(labelRule),
  v.rawTransform(({ dataset, addIssue, NEVER }): Labels => {
    const labels = parseLabels(dataset.value)
    if (labels !== undefined) return labels
    addIssue({ message: labelRule })
    return NEVER
  }),
)

const namesRule = "Expected NAME[,NAME…]"
const namesSchema = v.pipe(
  v.string(namesRule),
  v.regex(/^([A-Za-z_][A-Za-z0-9_]*(,[A-Za-z_][A-Za-z0-9_]*)*)?$/, namesRule),
  v.transform((names) => names.split(",").filter((name) => name !== "")),
)

/** Those of the variables that are set. */
function chosen(
  names: readonly string[] | undefined,
  env: Readonly<Record<string, string | undefined>>,
): { readonly [name: string]: string } {
  return Object.fromEntries(
    (names ?? []).flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  )
}

/** Longer than any timer: ages are compared, not waited for. */
const keepForMsMax = 36_500 * 86_400_000
const keepForRule = 'Expected a duration such as "12h" or "30d"'
const keepForSchema = v.pipe(
  v.union([v.number(), v.string()], keepForRule),
  v.transform((value) => (typeof value === "number" ? value : parseDuration(value, keepForMsMax))),
  v.number(keepForRule),
  v.minValue(0, keepForRule),
  v.maxValue(keepForMsMax, keepForRule),
)

function integerSchema(min: number, max: number) {
  const rule = `Expected a whole number from ${min} to ${max}`
  return v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number))], rule),
    v.integer(rule),
    v.minValue(min, rule),
    v.maxValue(max, rule),
  )
}

const storeRule = "Expected sqlite, sqlite:FILE, memory, or etcd://HOST:PORT"
const storeSchema = v.pipe(
  v.string(storeRule),
  v.rawTransform(({ dataset, addIssue, NEVER }): StoreConfig => {
    const store = parseStore(dataset.value)
    if (store !== undefined) return store
    addIssue({ message: storeRule })
    return NEVER
  }),
)

/** An empty `file` is the default one in the data folder. */
function parseStore(text: string): StoreConfig | undefined {
  if (text === "memory") return { type: "memory" }
  if (text === "sqlite") return { type: "sqlite", file: "" }
  const file = /^sqlite:(.+)$/.exec(text)?.[1]
  if (file !== undefined) return { type: "sqlite", file }
  const etcd = /^etcd:\/\/([^/]+)(?:\/(.*?)\/?)?$/.exec(text)
  if (etcd !== null) {
    const endpoints = (etcd[1] as string).split(",")
    if (!endpoints.every((endpoint) => /^(\[[0-9a-fA-F:]+\]|[\w.-]+):\d+$/.test(endpoint))) return undefined
    return { type: "etcd", endpoints, prefix: `${etcd[2] || "conveyor"}/` }
  }
  return text.includes("/") && !text.includes("://") ? { type: "sqlite", file: text } : undefined
}

function locate(store: StoreConfig, { data, base }: { data: string; base: string }): StoreConfig {
  if (store?.type !== "sqlite") return store
  return {
    type: "sqlite",
    file: store.file === "" ? join(data, "conveyor.sqlite") : resolve(base, store.file),
  }
}

/** No setting: nobody should meet it by chance, so it has no flag and is in no help. */
function faultPoint(variable: string | undefined): Pick<Config, "killAfterCommit"> {
  const killAfterCommit = Number(variable)
  return killAfterCommit > 0 ? { killAfterCommit } : {}
}

function nearestOf(name: SettingName, value: unknown): string | undefined {
  if (name === "log-level") return nearestName(String(value), logLevels)
  return name === "store" ? nearestName(String(value), ["sqlite", "memory"]) : undefined
}

/** The settings in a file. A file nobody named may be missing; one that was named may not. */
async function readSettingsFile(named: string | undefined, cwd: string) {
  const given = new Map<string, Given>()
  const faults: Fault[] = []
  const path = resolve(cwd, named ?? "conveyor.yml")
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (named === undefined && cause.code === "ENOENT") return undefined
    throw new ConveyorError("NOT_FOUND", `${path} cannot be read: ${cause.message}`, { cause })
  })
  if (text === undefined) return { given, faults }

  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml")
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const place = (offset: number) => {
    const { line, col: column } = lines.linePos(offset)
    return { file: named ?? "conveyor.yml", line, column }
  }
  for (const error of document.errors) faults.push({ message: error.message, ...place(error.pos[0]) })
  const { contents } = document
  if (contents !== null && !isMap(contents)) {
    faults.push({ message: "Expected a mapping of settings", ...place(contents.range?.[0] ?? 0) })
  }
  for (const pair of isMap(contents) ? contents.items : []) {
    const name = String(isScalar(pair.key) ? pair.key.value : pair.key)
    const at = place(isScalar(pair.key) ? (pair.key.range?.[0] ?? 0) : 0)
    const value = isScalar(pair.value) ? pair.value.value : pair.value
    if (name in settings) given.set(name, { value, label: name, base: dirname(path), place: at })
    else faults.push(unknownSetting(name, at))
  }
  return { given, faults }
}

function unknownSetting(name: string, place: Pick<Fault, "file" | "line" | "column">): Fault {
  const nearest = nearestName(name, settingNames)
  return {
    message: `There is no setting "${name}"; expected one of ${settingNames.join(", ")}`,
    ...(nearest === undefined ? {} : { nearest }),
    ...place,
  }
}
