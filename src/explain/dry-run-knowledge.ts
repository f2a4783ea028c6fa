import { type ExpressionScope, hasExpressions } from "../model/expression.ts"
import { type ExpressionRead, readsOf, readsOfText } from "../model/expression-reads.ts"
import { isJsonObject, type Json, type JsonObject } from "../model/json.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import type { StepState } from "../model/run.ts"
import { type RunContent, startScope, stepScope } from "../model/run-scope.ts"
import type { Standings, Upstream } from "../model/standing.ts"
import { upstreamOf } from "../model/step-graph.ts"
import type { Knowledge } from "./condition-outlook.ts"
import { haveEnded } from "./name-list.ts"
import type { DryRunSources } from "./planned-run.ts"

/** How far a dry run has come. */
export interface DryProgress {
  readonly standings: Standings
  readonly states: ReadonlyMap<string, StepState>
}

/** What a run that has not started yet is to be, as far as its expressions see it. */
export function contentBefore({ pipeline, resource, event, env }: DryRunSources): RunContent {
  const { resource: type, name, version, createdAt } = resource
  const run = { runId: "", event, resource: { type, name, version }, createdAt, status: "pending" } as const
  return { run, pipeline, steps: pipeline.steps, states: new Map(), resource, env, dataAt: () => undefined }
}

/** The variables of the pipeline that are made of none of the host's. */
export function shownVariables({ pipeline: { env = {} } }: DryRunSources): ReadonlySet<string> {
  const names = Object.keys(env).filter((name) =>
    readsIn(env[name] ?? "").every(({ root }) => root !== "env"),
  )
  return new Set(names)
}

/** What the pipeline's own expressions see, in the order in which they are evaluated: `metadata` comes first. */
export function knowledgeAtStart(
  sources: DryRunSources,
  content: RunContent,
  metadata?: JsonObject,
): Knowledge {
  return {
    scope: { ...startScope(content), ...(metadata === undefined ? {} : { metadata }) },
    openUntil: (read) => openBefore(read, sources),
    statusOpenUntil: undefined,
  }
}

/** What a step sees when its turn has come. How the steps before it ended is assumed; what they gave is not known. */
export function knowledgeAt(
  step: PipelineStep,
  {
    sources,
    content,
    progress: { standings, states },
    status,
  }: {
    readonly sources: DryRunSources
    readonly content: RunContent
    readonly progress: DryProgress
    readonly status: Upstream
  },
): Knowledge {
  const untold = (ids: Iterable<string>) => {
    const ran = [...ids].filter((id) => (states.get(id)?.attempt ?? 0) > 0)
    return ran.length === 0 ? undefined : haveEnded(ran)
  }
  let scope: ExpressionScope | undefined
  return {
    // Most steps read nothing, and the scope of a step at the end of a long way is large.
    get scope() {
      scope ??= stepScope({ ...content, states }, step, { standings, status, reads: readsOfStep(step) })
      return scope
    },
    openUntil: (read) =>
      openBefore(read, sources) ??
      openBehindSteps(read, () => upstreamOf(step, sources.pipeline.steps), untold),
    statusOpenUntil: undefined,
  }
}

/** Until when is it open what this reads of the run, the resource and the pipeline's own values? */
function openBefore(read: ExpressionRead, sources: DryRunSources): string | undefined {
  const { root, members } = read
  const [first, second] = members
  const { pipeline, madeUp } = sources
  switch (root) {
    case "run":
      return first === "pipeline" ? undefined : "the run starts"
    case "metadata":
      return openWithin(pipeline.metadata, first, sources)
    case "env":
      return openWithin(pipeline.env ?? {}, first, sources)
    case "resource": {
      const isMadeUp = first === undefined ? madeUp.size > 0 : madeUp.has(String(first))
      if (isMadeUp) return givenUntil
      return first === "metadata" ? openWithin(pipeline.metadata, second, sources) : undefined
    }
    case "event":
    case "results":
    case "steps":
      return undefined
    default:
      return root satisfies never
  }
}

const givenUntil = "there is a resource"

/** A field of the pipeline is as open as what its own expressions read. */
function openWithin(
  fields: { readonly [name: string]: Json },
  name: string | number | undefined,
  sources: DryRunSources,
): string | undefined {
  const own = name === undefined ? fields : fields[String(name)]
  if (own === undefined || !hasExpressions(own)) return undefined
  // What a field of `env` reads as `env` is the host's; of `metadata`, another field of which none is read by itself.
  return readsIn(own)
    .map((read) => (read.root === "env" ? undefined : openBefore(read, sources)))
    .find((until) => until !== undefined)
}

function readsOfStep({ if: condition, with: input = {}, env = {}, timeout }: PipelineStep) {
  return [
    ...(condition === undefined ? [] : readsOf(condition)),
    ...[input, env, timeout ?? ""].flatMap(readsIn),
  ]
}

function readsIn(value: Json): readonly ExpressionRead[] {
  if (typeof value === "string") return readsOfText(value)
  if (Array.isArray(value)) return value.flatMap(readsIn)
  return isJsonObject(value) ? Object.values(value).flatMap(readsIn) : []
}

/** Data and messages of steps come with their results. */
function openBehindSteps(
  { root, members: [first, second] }: ExpressionRead,
  upstream: () => ReadonlySet<string>,
  untold: (ids: Iterable<string>) => string | undefined,
): string | undefined {
  if (root === "resource" && (first === undefined || first === "metadata")) {
    const isPlain = typeof second === "string" && !second.startsWith("driverresults")
    return isPlain ? undefined : untold(upstream())
  }
  if (root !== "steps" && root !== "results") return undefined
  if (typeof first !== "string") return untold(upstream())
  return second === "status" || second === "success" ? undefined : untold([first])
}
