import type { ExplainSources } from "../explain/explain-sources.ts"
import type { ConcurrencyRecord } from "../model/concurrency.ts"
import { dataReadByCondition, largeDataBefore, readOf, readsAny } from "../model/data-needs.ts"
import type { DataRef } from "../model/driver.ts"
import type { Json } from "../model/json.ts"
import { type Claim, driversOf, isEnded, isNew, type Run, type StepState } from "../model/run.ts"
import { stepsOfRun } from "../model/run-steps.ts"
import { claimsPrefix, concurrencyKey, driverBundleKey, parseRunKey, runKey } from "../store/keys.ts"
import { findVersion } from "../store/resource-version.ts"
import type { Store } from "../store/store.ts"
import { processesOfRun } from "./attempt-processes.ts"
import { revisionOf } from "./followed-run.ts"
import { allHosts } from "./hosts.ts"
import { notFound } from "./problem.ts"
import type { ApiContext } from "./route.ts"
import { parseRun, statesOf } from "./runs.ts"

/** All that an explanation of a run is made from, as it is now. `isLocal`: nothing that only another host knows. */
export async function explainSources(
  context: ApiContext,
  runId: string,
  { isLocal, signal }: { readonly isLocal: boolean; readonly signal: AbortSignal },
): Promise<ExplainSources> {
  const { store } = context
  const header = await store.get(runKey(runId))
  if (header === undefined) throw notFound("run", runId)
  const run = parseRun(header)
  const [pipeline, states, claims, hosts, version, key] = await Promise.all([
    revisionOf(context, run),
    statesOf(context, runId),
    claimsOf(store, runId),
    allHosts(store),
    findVersion(store, run.resource),
    keyRecordOf(store, run),
  ])
  const steps = stepsOfRun(run, pipeline)
  const [kept, lastOnes, processes, dataAt] = await Promise.all([
    keptOf(store, run),
    lastLines(context, { run, states, signal }),
    processesOfRun(context, { run, states, claims, hosts: isLocal ? [] : hosts, signal }),
    isLocal ? () => undefined : conditionData(context, { steps, states }),
  ])
  return {
    run,
    pipeline,
    steps,
    states,
    dataAt,
    resource: version?.resource,
    claims,
    hosts,
    concurrencyKey: key,
    processes,
    env: context.env,
    kept,
    lastLines: lastOnes,
    leaseTtlMs: context.leaseTtlMs,
    nowMs: context.now().getTime(),
  }
}

/** How much large data is read for one explanation, which anybody may ask for at any time. */
const dataBytesForAll = 16 * 1024 * 1024

/** The large data that conditions read which are still to be asked; what cannot be had is missing, and what is too much. */
async function conditionData(
  { allResults }: ApiContext,
  { steps, states }: Pick<ExplainSources, "steps" | "states">,
): Promise<ExplainSources["dataAt"]> {
  const refs = new Map<string, DataRef>()
  for (const step of steps) {
    const reads = dataReadByCondition(step)
    if (!isNew(states.get(step.id)) || !readsAny(reads)) continue
    for (const { ref } of readOf(reads, largeDataBefore(step, { steps, states }))) refs.set(ref.sha256, ref)
  }
  let left = dataBytesForAll
  const wanted = [...refs.values()].filter(({ bytes }) => {
    if (bytes > left) return false
    left -= bytes
    return true
  })
  const found = new Map<string, Json>()
  await Promise.all(
    wanted.map(async (ref) => {
      const bytes = await allResults.read(ref).catch(() => undefined)
      if (bytes !== undefined) found.set(ref.sha256, JSON.parse(new TextDecoder().decode(bytes)) as Json)
    }),
  )
  return ({ sha256 }) => found.get(sha256)
}

/** Who holds and awaits the concurrency key that the run waits for. */
async function keyRecordOf(store: Store, { concurrency }: Run): Promise<ConcurrencyRecord | undefined> {
  if (concurrency?.queuedAt === undefined) return undefined
  const entry = await store.get(concurrencyKey(concurrency.key))
  return entry === undefined ? undefined : (JSON.parse(entry.value) as ConcurrencyRecord)
}

async function claimsOf(store: Store, runId: string): Promise<ReadonlyMap<string, Claim>> {
  const { entries } = await store.list(claimsPrefix(runId))
  return new Map(
    entries.flatMap((entry) => {
      const key = parseRunKey(entry.key)
      return key?.type === "claim" ? [[key.stepId, JSON.parse(entry.value) as Claim] as const] : []
    }),
  )
}

/** Those of the contents the run is pinned to that are in the store. */
async function keptOf(store: Store, run: Run): Promise<ReadonlySet<string>> {
  if (isEnded(run.status)) return new Set()
  const hashes = [...new Set(driversOf(run))]
  const found = await Promise.all(
    hashes.map(async (hash) => ((await store.get(driverBundleKey(hash))) === undefined ? [] : [hash])),
  )
  return new Set(found.flat())
}

/** What the failed attempts of steps that wait for another one logged last, where this host has their log. */
async function lastLines(
  { logs }: ApiContext,
  {
    run,
    states,
    signal,
  }: {
    readonly run: Run
    readonly states: ReadonlyMap<string, StepState>
    readonly signal: AbortSignal
  },
): Promise<ReadonlyMap<string, string>> {
  const wanted = new Map<string, number>()
  for (const [id, state] of states) {
    if (state.status === "waiting" && state.waitingFor.type === "timer") wanted.set(id, state.attempt)
  }
  const last = new Map<string, string>()
  if (wanted.size === 0) return last
  for await (const batch of logs.read(run.runId, { signal })) {
    for (const { step, attempt, message } of batch) {
      if (step !== undefined && wanted.get(step) === attempt && message.trim() !== "") last.set(step, message)
    }
  }
  return last
}
