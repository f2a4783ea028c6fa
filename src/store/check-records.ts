import * as v from "valibot"
import type { DataRef } from "../model/driver.ts"
import { canonicalJson, type JsonObject, jsonObjectSchema } from "../model/json.ts"
import { isEnded, runStatuses, stepStatuses } from "../model/run.ts"
import { moveKey, parseRunKey, prefixes } from "./keys.ts"
import type { Entry } from "./store.ts"

/** What a record refers to, and what may be referred to: small enough to keep of every record of a large store. */
export interface Facts {
  /** Of each pipeline revision, by hash: the ids of its steps. */
  readonly revisions: Map<string, ReadonlySet<string>>
  /** The hash of each pipeline, by name. */
  readonly pipelines: Map<string, string>
  /** `type/name/version` of every version of a resource. */
  readonly versions: Set<string>
  readonly newestVersions: Map<string, number>
  readonly runs: Map<string, RunFacts>
  /** Runs with a mark, and the steps and claims of each run. */
  readonly marked: Set<string>
  readonly steps: Map<string, string[]>
  readonly claims: Map<string, string[]>
  /** The large data that steps refer to. */
  readonly data: StepData[]
  /** How many parts a driver bundle has, by hash, and how many are there. */
  readonly bundles: Map<string, number>
  readonly bundleParts: Map<string, number>
  /** The runs that hold a concurrency key or wait for it, by the key's entry. */
  readonly concurrency: Map<string, readonly string[]>
}

/** Large data of a step of this run. */
export interface StepData {
  readonly key: string
  readonly runId: string
  readonly ref: DataRef
}

interface RunFacts {
  readonly ended: boolean
  /** `type/name/version`. */
  readonly resource: string
  readonly pipelineHash?: string
  /** Of a run without a pipeline that was planned. */
  readonly steps?: ReadonlySet<string>
  /** What its drivers put off. */
  readonly deferred: ReadonlySet<string>
  /** It went on along another revision of its pipeline: it may have done steps that this one has not. */
  readonly mended: boolean
  /** The runs whose files its results may refer to. */
  readonly dataFrom: readonly string[]
}

/** Facts of a store of which nothing was read yet. */
export function noFacts(): Facts {
  return {
    revisions: new Map(),
    pipelines: new Map(),
    versions: new Set(),
    newestVersions: new Map(),
    runs: new Map(),
    marked: new Set(),
    steps: new Map(),
    claims: new Map(),
    data: [],
    bundles: new Map(),
    bundleParts: new Map(),
    concurrency: new Map(),
  }
}

const idSchema = v.object({ id: v.string() })
const stepsSchema = v.array(idSchema)
const versionSchema = v.pipe(v.number(), v.integer(), v.minValue(1))
const pipelineSchema = v.object({ name: v.string(), steps: stepsSchema })
const pipelineRecordSchema = v.object({ pipeline: pipelineSchema, hash: v.string() })
const resourceSchema = v.object({ name: v.string(), resource: v.string(), version: versionSchema })
const runSchema = v.object({
  runId: v.string(),
  status: v.picklist(runStatuses),
  resource: v.object({ type: v.string(), name: v.string(), version: versionSchema }),
  pipeline: v.optional(v.object({ name: v.string(), hash: v.string() })),
  steps: v.optional(stepsSchema),
  deferred: v.optional(stepsSchema, []),
  mended: v.optional(v.number(), 0),
  dataFrom: v.optional(v.array(v.string()), []),
})
const placeSchema = v.array(v.object({ runId: v.string() }))
const concurrencySchema = v.object({ key: v.string(), holders: placeSchema, queue: placeSchema })
const dataRefSchema = v.object({
  bytes: v.pipe(v.number(), v.integer(), v.minValue(1)),
  sha256: v.pipe(v.string(), v.hexadecimal(), v.length(64)),
  runId: v.pipe(v.string(), v.uuid()),
  folder: v.string(),
  hostId: v.string(),
})
const resultSchema = v.object({
  success: v.boolean(),
  message: v.string(),
  dataRef: v.optional(dataRefSchema),
})
const stepStateSchema = v.object({
  status: v.picklist(stepStatuses),
  attempt: v.number(),
  result: v.optional(resultSchema),
})
const claimSchema = v.object({ hostId: v.string(), attempt: v.number() })
const bundleSchema = v.object({ hash: v.string(), parts: v.pipe(v.number(), v.integer()) })

/**
 * Takes in what a record says, and answers what is wrong with it by itself. Keys that this version does not know are
 * passed over: they are for the version that wrote them.
 */
export function readRecord(entry: Entry, facts: Facts): readonly string[] {
  const [room = "", ...path] = entry.key.split("/")
  switch (`${room}/`) {
    case prefixes.definitions:
      return readAs(v.object({ name: v.literal(path[0] ?? "") }), entry, () => [])
    case prefixes.concurrency:
      return readAs(concurrencySchema, entry, ({ holders, queue }) => {
        facts.concurrency.set(
          entry.key,
          [...holders, ...queue].map(({ runId }) => runId),
        )
        return []
      })
    case prefixes.idempotency:
      return readAs(v.object({}), entry, () => [])
    case "pipeline-revisions/":
      return readAs(pipelineSchema, entry, ({ steps }, json) => {
        facts.revisions.set(path[0] ?? "", idsOf(steps))
        return hashOf(json) === path[0] ? [] : ["its content does not have the hash it stands under"]
      })
    case prefixes.pipelines:
      return readAs(pipelineRecordSchema, entry, ({ pipeline, hash }, json) => {
        facts.pipelines.set(path[0] ?? "", hash)
        return [
          ...(pipeline.name === path[0] ? [] : [`it is the pipeline "${pipeline.name}"`]),
          ...(hashOf(json["pipeline"] as JsonObject) === hash ? [] : ["its hash is not that of its content"]),
        ]
      })
    case "resource-versions/":
    case prefixes.resources:
      return readResource(entry, path, facts)
    case prefixes.driverBundles:
      return readAs(bundleSchema, entry, ({ parts }) => {
        facts.bundles.set(path[0] ?? "", parts)
        return []
      })
    case prefixes.driverBundleParts:
      count(facts.bundleParts, path[0] ?? "")
      return []
    case prefixes.hostDrivers:
    case prefixes.hostLeases:
      return unlessLeased(entry)
    case prefixes.hostFiles:
    case prefixes.hosts:
      return [
        ...unlessLeased(entry),
        ...readAs(v.object({ hostId: v.literal(path[0] ?? "") }), entry, () => []),
      ]
    case prefixes.runs:
      return readRunRecord(entry, facts)
    default:
      return entry.key === moveKey ? ["a move into this store has not finished: it holds only a part"] : []
  }
}

/** Of the newest version, and of one that was kept under its number. */
function readResource(
  entry: Entry,
  [type, name, number]: readonly string[],
  facts: Facts,
): readonly string[] {
  return readAs(resourceSchema, entry, (resource) => {
    const { version } = resource
    facts.versions.add(`${type}/${name}/${version}`)
    if (number === undefined) facts.newestVersions.set(`${type}/${name}`, version)
    const isItself = resource.resource === type && resource.name === name
    return [
      ...(isItself ? [] : [`it is the ${resource.resource} "${resource.name}"`]),
      ...(number === undefined || Number(number) === version ? [] : [`it is version ${version}`]),
    ]
  })
}

function readRunRecord(entry: Entry, facts: Facts): readonly string[] {
  const key = parseRunKey(entry.key)
  switch (key?.type) {
    case "active":
      facts.marked.add(key.runId)
      return []
    case "header":
      return readAs(
        runSchema,
        entry,
        ({ runId, status, resource, pipeline, steps, deferred, mended, dataFrom }) => {
          facts.runs.set(key.runId, {
            ended: isEnded(status),
            resource: `${resource.type}/${resource.name}/${resource.version}`,
            ...(pipeline === undefined ? {} : { pipelineHash: pipeline.hash }),
            ...(steps === undefined ? {} : { steps: idsOf(steps) }),
            deferred: idsOf(deferred),
            mended: mended > 0,
            dataFrom,
          })
          return runId === key.runId ? [] : [`it is the run ${runId}`]
        },
      )
    case "step":
      append(facts.steps, key.runId, key.stepId)
      return readAs(stepStateSchema, entry, ({ result }) => {
        const ref = result?.dataRef
        if (ref !== undefined) facts.data.push({ key: entry.key, runId: key.runId, ref })
        return []
      })
    case "claim":
      append(facts.claims, key.runId, key.stepId)
      return [...unlessLeased(entry), ...readAs(claimSchema, entry, () => [])]
    case undefined:
      return []
    default:
      return key satisfies never
  }
}

/** A record under a lease that ended is gone with it; one without a lease would never go. */
function unlessLeased({ lease }: Entry): readonly string[] {
  return lease === undefined ? ["it has no lease, so it outlives its host"] : []
}

function readAs<T>(
  schema: v.GenericSchema<unknown, T>,
  { value }: Entry,
  read: (record: T, json: JsonObject) => readonly string[],
): readonly string[] {
  const json = parseJson(value)
  if (json === undefined) return ["it is not a JSON object"]
  const record = v.safeParse(schema, json)
  if (record.success) return read(record.output, json)
  return record.issues.map((issue) => `/${v.getDotPath(issue)?.replaceAll(".", "/") ?? ""}: ${issue.message}`)
}

function parseJson(text: string): JsonObject | undefined {
  try {
    const json = v.safeParse(jsonObjectSchema, JSON.parse(text))
    return json.success ? json.output : undefined
  } catch {
    return undefined
  }
}

function hashOf(json: JsonObject): string {
  return new Bun.CryptoHasher("sha256").update(canonicalJson(json)).digest("hex")
}

function idsOf(steps: readonly { readonly id: string }[]): ReadonlySet<string> {
  return new Set(steps.map(({ id }) => id))
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function append(lists: Map<string, string[]>, key: string, item: string): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}
