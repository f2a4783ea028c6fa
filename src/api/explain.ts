import { explainRun } from "../model/explain.ts"
import type { Resource } from "../model/resource.ts"
import { type Claim, isEnded, type Run, type StepState } from "../model/run.ts"
import { stepsOfRun } from "../model/run-steps.ts"
import {
  claimsPrefix,
  driverBundleKey,
  parseRunKey,
  resourceKey,
  resourceVersionKey,
  runKey,
} from "../store/keys.ts"
import type { Store } from "../store/store.ts"
import { explanationShape } from "./explanation-shape.ts"
import { revisionOf } from "./followed-run.ts"
import { allHosts } from "./hosts.ts"
import { notFound } from "./problem.ts"
import { runIdParameter } from "./request.ts"
import { parseResource } from "./resource-writes.ts"
import type { ApiContext, Route } from "./route.ts"
import { parseRun, statesOf } from "./runs.ts"
import { json } from "./shapes.ts"

/** Why a run, and each of its steps, is where it is. */
export function explainRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/runs/:id/explain",
      summary: "Say of a run, and of each of its steps, why it is where it is and what it waits for",
      responses: { 200: json(explanationShape, "The reasons as they are now, for people and for programs") },
      async handle(call) {
        const runId = runIdParameter(call.params["id"])
        return Response.json(await explain(context, runId, call.request.signal))
      },
    },
  ]
}

async function explain(context: ApiContext, runId: string, signal: AbortSignal) {
  const { store } = context
  const header = await store.get(runKey(runId))
  if (header === undefined) throw notFound("run", runId)
  const run = parseRun(header)
  const [pipeline, states, claims, hosts, resource] = await Promise.all([
    revisionOf(context, run),
    statesOf(context, runId),
    claimsOf(store, runId),
    allHosts(store),
    resourceOf(store, run),
  ])
  const steps = stepsOfRun(run, pipeline)
  return explainRun({
    run,
    pipeline,
    steps,
    states,
    resource,
    claims,
    hosts,
    env: context.env,
    kept: await keptOf(store, run),
    lastLines: await lastLines(context, { run, states, signal }),
    leaseTtlMs: context.leaseTtlMs,
    nowMs: context.now().getTime(),
  })
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

/** The version of the resource that the run is for: the newest one, or one that is kept. */
async function resourceOf(
  store: Store,
  { resource: { type, name, version } }: Run,
): Promise<Resource | undefined> {
  for (const key of [resourceKey(type, name), resourceVersionKey(type, name, version)]) {
    const entry = await store.get(key)
    const resource = entry === undefined ? undefined : parseResource(entry)
    if (resource?.version === version) return resource
  }
  return undefined
}

/** Those of the contents the run is pinned to that are in the store. */
async function keptOf(store: Store, run: Run): Promise<ReadonlySet<string>> {
  if (isEnded(run.status)) return new Set()
  const deferred = (run.deferred ?? []).flatMap(({ role }) =>
    role?.type === "deferred" ? [role.driverHash] : [],
  )
  const hashes = [...new Set([...Object.values(run.drivers ?? {}), ...deferred])]
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
