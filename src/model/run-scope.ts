import type { DataRef, DriverResult, RecordedResult } from "./driver.ts"
import type { ExpressionScope } from "./expression.ts"
import type { ExpressionRead } from "./expression-reads.ts"
import type { Json, JsonObject } from "./json.ts"
import type { Pipeline, PipelineStep } from "./pipeline.ts"
import type { Resource } from "./resource.ts"
import type { Run, StepState } from "./run.ts"
import { type Standings, type StepStates, stateStatus, type Upstream } from "./standing.ts"
import { upstreamOf } from "./step-graph.ts"

/** A run with all that its expressions may read. */
export interface RunContent {
  readonly run: Run
  /** Absent for a resource without a pipeline. */
  readonly pipeline: Pipeline | undefined
  readonly steps: readonly PipelineStep[]
  readonly states: StepStates
  readonly resource: Resource
  /** The host's variables that expressions may read. */
  readonly env: { readonly [name: string]: string }
  /** Large data that was brought into memory for this; undefined for what was not. */
  readonly dataAt: (ref: DataRef) => Json | undefined
}

/** The pipeline's metadata as steps see it: with its expressions evaluated, once the run has started. */
export function metadataOf({ run, pipeline }: Pick<RunContent, "run" | "pipeline">): JsonObject {
  return run.values?.metadata ?? pipeline?.metadata ?? {}
}

/** The variables of every step of the run. */
export function envOf({ run, pipeline }: Pick<RunContent, "run" | "pipeline">): {
  readonly [name: string]: string
} {
  return run.values?.env ?? pipeline?.env ?? {}
}

/** What the pipeline's own expressions see, before any step: its metadata, its variables, its concurrency key. */
export function startScope({ run, pipeline, resource, env }: RunContent): ExpressionScope {
  return {
    resource,
    run: { id: run.runId, createdAt: run.createdAt, pipeline: pipeline?.name ?? "" },
    event: run.event,
    env,
  }
}

/**
 * What the expressions of a step see; `status` says what its `success()` and `failure()` answer. With `reads`, all that is
 * read of it, other steps may be missing: there can be thousands upstream of every step.
 */
export function stepScope(
  content: RunContent,
  step: PipelineStep,
  {
    standings,
    status,
    reads,
  }: {
    readonly standings?: Standings
    readonly status?: Upstream
    readonly reads?: readonly ExpressionRead[]
  } = {},
): ExpressionScope {
  const ids = (reads && stepsReadBy(reads)) ?? upstreamOf(step, content.steps)
  const results = resultsOf(ids, content)
  const steps = [...ids].map((id) => {
    const state = content.states.get(id)
    return [id, { ...results[id], status: stateStatus(state, standings?.of.get(id)) }] as const
  })
  return {
    ...startScope(content),
    resource: resourceFor(content, results),
    metadata: metadataOf(content),
    results,
    steps: Object.fromEntries(steps),
    env: { ...content.env, ...envOf(content) },
    ...(status === undefined ? {} : { status }),
  }
}

/** The steps that these read of; undefined where that is not told before they are evaluated, and may be all. */
function stepsReadBy(reads: readonly ExpressionRead[]): ReadonlySet<string> | undefined {
  const ids = new Set<string>()
  for (const { root, members } of reads) {
    const [first, second] = members
    if (root === "steps" || root === "results") {
      if (typeof first !== "string") return undefined
      ids.add(first)
    } else if (root === "resource" && (first === undefined || first === "metadata")) {
      if (typeof second !== "string" || second.startsWith("driverresults")) return undefined
    }
  }
  return ids
}

/** Results of all steps this one comes after, near or far, by step id; without the large data that is not at hand. */
export function resultsBefore(
  step: PipelineStep,
  content: Pick<RunContent, "steps" | "states" | "dataAt">,
): Record<string, DriverResult> {
  return resultsOf(upstreamOf(step, content.steps), content)
}

function resultsOf(
  ids: ReadonlySet<string>,
  { states, dataAt }: Pick<RunContent, "states" | "dataAt">,
): Record<string, DriverResult> {
  const results: Record<string, DriverResult> = {}
  for (const id of ids) {
    const state = states.get(id)
    if (state !== undefined && "result" in state) results[id] = withData(state.result, dataAt)
  }
  return results
}

function withData(result: RecordedResult, dataAt: RunContent["dataAt"]): DriverResult {
  if (result.dataRef === undefined) return result
  const { dataRef, ...rest } = result
  const data = dataAt(dataRef)
  return data === undefined ? rest : { ...rest, data }
}

/** Data up to this is in the flat keys of {@link resourceFor}: twice in text is too much for what is larger. */
const flatBytesMax = 1_000_000

/**
 * The resource as drivers and expressions see it: the pipeline's metadata below its own, and earlier results as
 * `driverresults`, both nested and, for drivers of the older contract, as flat keys that hold JSON strings. In
 * these, data over {@link flatBytesMax} is only named.
 */
export function resourceFor(
  content: RunContent,
  results: { readonly [stepId: string]: DriverResult },
): Resource {
  const { resource } = content
  const byDriver = resultsByDriver(content.steps, results)
  const metadata: Record<string, Json> = { ...metadataOf(content), ...resource.metadata }
  if (byDriver.size > 0) {
    metadata["driverresults"] = Object.fromEntries(
      [...byDriver].map(([driver, { result }]) => [driver, result]),
    ) as unknown as JsonObject
    for (const [driver, { result, stepId }] of byDriver) {
      metadata[`driverresults.${driver}`] = JSON.stringify(flat(result, content.states.get(stepId)))
    }
  }
  return { ...resource, metadata }
}

/** The same results by driver, in the pipeline's order: where a driver stands twice, its later step's result. */
function resultsByDriver(
  steps: readonly PipelineStep[],
  results: { readonly [stepId: string]: DriverResult },
): Map<string, { readonly stepId: string; readonly result: DriverResult }> {
  const byDriver = new Map<string, { stepId: string; result: DriverResult }>()
  if (Object.keys(results).length === 0) return byDriver
  for (const step of steps) {
    const result = Object.hasOwn(results, step.id) ? results[step.id] : undefined
    if (result !== undefined) byDriver.set(step.driver, { stepId: step.id, result })
  }
  return byDriver
}

function flat(result: DriverResult, state: StepState | undefined): object {
  const recorded = state !== undefined && "result" in state ? state.result : result
  if (recorded.dataRef === undefined || recorded.dataRef.bytes <= flatBytesMax) return result
  const { bytes, sha256 } = recorded.dataRef
  return { ...recorded, dataRef: { bytes, sha256 } }
}
