import { type Facts, noFacts, readRecord, type StepData } from "./check-records.ts"
import {
  activeRunKey,
  claimKey,
  driverBundleKey,
  pipelineKey,
  resourceVersionKey,
  runKey,
  stepKey,
} from "./keys.ts"
import { entriesOf } from "./snapshot.ts"
import type { Store } from "./store.ts"

/** One thing that is wrong in a store. */
export interface StoreFault {
  readonly key: string
  readonly message: string
}

/** What a check found. */
export interface CheckedStore {
  readonly entries: number
  readonly runs: number
  /** Those of single records first, then those of references. */
  readonly faults: readonly StoreFault[]
  /** The large data that steps refer to. Whether it is there, the store cannot tell: it lies in data folders. */
  readonly data: readonly Pick<StepData, "key" | "ref">[]
}

/**
 * Checks that every record can be read, is what its key says, and that what it refers to is there; all as of one
 * revision. Changes nothing.
 */
export async function checkStore(store: Store): Promise<CheckedStore> {
  const { revision } = await store.list("", { limit: 1 })
  const facts = noFacts()
  const faults: StoreFault[] = []
  let entries = 0
  for await (const entry of entriesOf(store, revision)) {
    entries++
    for (const message of readRecord(entry, facts)) faults.push({ key: entry.key, message })
  }
  return { entries, runs: facts.runs.size, faults: [...faults, ...referenceFaults(facts)], data: facts.data }
}

function referenceFaults(facts: Facts): StoreFault[] {
  return [
    ...pipelineFaults(facts),
    ...versionFaults(facts),
    ...bundleFaults(facts),
    ...runFaults(facts),
    ...markFaults(facts),
    ...stepFaults(facts),
    ...borrowedFaults(facts),
    ...concurrencyFaults(facts),
  ]
}

function* pipelineFaults({ pipelines, revisions }: Facts): Generator<StoreFault> {
  for (const [name, hash] of pipelines) {
    if (!revisions.has(hash))
      yield { key: pipelineKey(name), message: `the pipeline revision ${hash} is not there` }
  }
}

/** Versions count up, and the newest stands under the name. Earlier ones may be gone: they are collected. */
function* versionFaults({ versions, newestVersions }: Facts): Generator<StoreFault> {
  for (const id of versions) {
    const [type = "", name = "", number] = id.split("/")
    const version = Number(number)
    const newest = newestVersions.get(`${type}/${name}`)
    if (newest !== undefined && version > newest) {
      const message = `the newest version is ${newest}, which is lower`
      yield { key: resourceVersionKey(type, name, version), message }
    }
  }
}

function* bundleFaults({ bundles, bundleParts }: Facts): Generator<StoreFault> {
  for (const [hash, parts] of bundles) {
    const found = bundleParts.get(hash) ?? 0
    if (found !== parts)
      yield { key: driverBundleKey(hash), message: `${found} of its ${parts} parts are there` }
  }
}

function* runFaults({ runs, revisions, versions, marked }: Facts): Generator<StoreFault> {
  for (const [runId, { ended, resource, pipelineHash }] of runs) {
    const key = runKey(runId)
    if (!versions.has(resource)) yield { key, message: `the resource version ${resource} is not there` }
    if (pipelineHash !== undefined && !revisions.has(pipelineHash))
      yield { key, message: `the pipeline revision ${pipelineHash} is not there` }
    if (!ended && !marked.has(runId)) yield { key, message: "it has not ended, and is not marked as active" }
  }
}

function* markFaults({ runs, marked }: Facts): Generator<StoreFault> {
  for (const runId of marked) {
    const run = runs.get(runId)
    if (run === undefined) yield { key: activeRunKey(runId), message: "there is no such run" }
    else if (run.ended) yield { key: activeRunKey(runId), message: "the run has ended" }
  }
}

function* stepFaults(facts: Facts): Generator<StoreFault> {
  const records = [
    { byRun: facts.steps, keyOf: stepKey },
    { byRun: facts.claims, keyOf: claimKey },
  ]
  for (const { byRun, keyOf } of records) {
    for (const [runId, stepIds] of byRun) {
      const known = knownSteps(facts, runId)
      for (const stepId of stepIds) {
        if (known === undefined) yield { key: keyOf(runId, stepId), message: "there is no such run" }
        else if (known !== "unknown" && !known.has(stepId) && !mayHave(facts, runId, stepId))
          yield { key: keyOf(runId, stepId), message: `the pipeline of the run has no step "${stepId}"` }
      }
    }
  }
}

function mayHave({ runs }: Facts, runId: string, stepId: string): boolean {
  const run = runs.get(runId)
  return run !== undefined && (run.mended || run.deferred.has(stepId))
}

/** A run that has ended holds nothing and waits for nothing: it would keep others waiting for ever. */
function* concurrencyFaults({ runs, concurrency }: Facts): Generator<StoreFault> {
  for (const [key, runIds] of concurrency) {
    for (const runId of runIds) {
      const run = runs.get(runId)
      if (run === undefined) yield { key, message: `there is no run ${runId}` }
      else if (run.ended) yield { key, message: `the run ${runId} has ended` }
    }
  }
}

/** A file of another run is kept for as long as the header says that it is needed. */
function* borrowedFaults({ data, runs }: Facts): Generator<StoreFault> {
  for (const { key, runId, ref } of data) {
    if (ref.runId !== runId && runs.get(runId)?.dataFrom.includes(ref.runId) === false)
      yield {
        key,
        message: `its data is a file of run ${ref.runId}, which the run does not name in dataFrom`,
      }
  }
}

/** The ids of a run's steps; unknown where its pipeline is not there, which is said once already. */
function knownSteps({ runs, revisions }: Facts, runId: string): ReadonlySet<string> | "unknown" | undefined {
  const run = runs.get(runId)
  if (run === undefined) return undefined
  if (run.pipelineHash !== undefined) return revisions.get(run.pipelineHash) ?? "unknown"
  return run.steps ?? new Set()
}
