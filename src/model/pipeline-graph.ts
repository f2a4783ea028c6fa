import type { Fault } from "./fault.ts"
import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import type { Pipeline, PipelineStep } from "./pipeline.ts"
import type { PipelineSource } from "./pipeline-source.ts"
import { resolvePipeline } from "./resolve-pipeline.ts"

/** A step as far as it can be told from a source that may have faults, and where it is written. */
export interface GraphStep extends Pick<PipelineStep, "id" | "needs" | "role"> {
  /** A JSON Pointer. */
  readonly path: string
  /** What is written there. */
  readonly source: JsonObject
}

/** The steps of a source and what they wait for, with all that is wrong with that. */
export interface PipelineGraph {
  readonly steps: readonly GraphStep[]
  readonly faults: readonly (Fault & { readonly path: string })[]
  /** Does a step wait for the end of the one with this id, near or far? In `finally`: for all other steps. */
  readonly isUpstream: (step: GraphStep, id: string) => boolean
  /** The ids of all those it waits for. */
  readonly upstreamOf: (step: GraphStep) => readonly string[]
}

/** One fault hides others: so many times what is faulty is left out, and the rest looked at again. */
const passesMax = 5

/**
 * The graph of a pipeline as it is written, whatever else is wrong with it: a step with an unknown need or a second id of
 * the same name is taken without that.
 */
export function graphOf(value: JsonObject): PipelineGraph {
  const places = placesOf(value)
  const faults: (Fault & { readonly path: string })[] = []
  let skeleton = skeletonOf(value)
  let pipeline: Pipeline | undefined
  for (let pass = 0; pipeline === undefined && pass < passesMax; pass++) {
    const resolved = resolvePipeline(skeleton as unknown as PipelineSource)
    if ("pipeline" in resolved) {
      pipeline = resolved.pipeline
      break
    }
    const found = resolved.faults.map((fault) => ({ ...fault, path: fault.path ?? "" }))
    faults.push(...found)
    // Without all its steps it is no pipeline any more: there are too many of them.
    if (found.some(({ path }) => path === "/steps")) break
    skeleton = without(skeleton, new Set(found.map(({ path }) => path)))
  }
  const steps = (pipeline?.steps ?? []).map(({ id, needs, role }, index): GraphStep => {
    const place = places[index] as Pick<GraphStep, "path" | "source">
    return { id, needs, ...(role === undefined ? {} : { role }), ...place }
  })
  return { steps, faults, ...upstreamIn(steps) }
}

/** Where the steps are written, in the order in which a resolved pipeline has them. */
function placesOf(value: JsonObject): readonly Pick<GraphStep, "path" | "source">[] {
  const way = placed(value["steps"], "/steps")
  const ensures = way.flatMap(({ source: { ensure }, path }) => {
    if (Array.isArray(ensure)) return placed(ensure, `${path}/ensure`)
    return isJsonObject(ensure) ? [{ source: ensure, path: `${path}/ensure` }] : []
  })
  return [...way, ...ensures, ...placed(value["finally"], "/finally")]
}

function placed(list: Json | undefined, path: string): Pick<GraphStep, "path" | "source">[] {
  if (!Array.isArray(list)) return []
  return list.map((item: Json, index) => ({
    source: isJsonObject(item) ? item : {},
    path: `${path}/${index}`,
  }))
}

/** Only what makes the graph, and that only where it is what it must be. */
function skeletonOf(value: JsonObject): JsonObject {
  return {
    name: "a",
    resource: "a",
    steps: list(value["steps"]).map((step) => ({ ...skeletonOfStep(step), ...ensureOf(step) })),
    finally: list(value["finally"]).map(skeletonOfStep),
  }
}

function list(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : []
}

function ensureOf(step: Json): JsonObject {
  const ensure = isJsonObject(step) ? step["ensure"] : undefined
  if (Array.isArray(ensure)) return { ensure: ensure.map(skeletonOfStep) }
  return isJsonObject(ensure) ? { ensure: skeletonOfStep(ensure) } : {}
}

function skeletonOfStep(step: Json): JsonObject {
  const { id, driver, needs } = isJsonObject(step) ? step : {}
  return {
    driver: typeof driver === "string" ? driver : "step",
    ...(typeof id === "string" ? { id } : {}),
    ...(Array.isArray(needs) ? { needs: needs.map(skeletonOfNeed) } : {}),
  }
}

/** What is no need stays in its place, so that those after it keep theirs. */
function skeletonOfNeed(need: Json): Json {
  if (typeof need === "string") return need
  const step = isJsonObject(need) ? need["step"] : undefined
  return { step: typeof step === "string" ? step : "", optional: true }
}

/** The same without what stands at these JSON Pointers; a whole list of needs becomes an empty one. */
function without(value: JsonObject, paths: ReadonlySet<string>): JsonObject {
  return strip(value, "") as JsonObject

  function strip(part: Json, at: string): Json {
    if (Array.isArray(part)) {
      return part.flatMap((item: Json, index) => {
        const place = `${at}/${index}`
        return paths.has(place) ? [] : [strip(item, place)]
      })
    }
    if (!isJsonObject(part)) return part
    return Object.fromEntries(
      Object.entries(part).flatMap(([key, field]) => {
        const place = `${at}/${key}`
        if (!paths.has(place)) return [[key, strip(field, place)]]
        return key === "needs" ? [[key, []]] : []
      }),
    )
  }
}

/** Looks near before far, and makes no set for each step: thousands of steps may each read what another one said. */
function upstreamIn(steps: readonly GraphStep[]): Pick<PipelineGraph, "isUpstream" | "upstreamOf"> {
  const indexes = new Map(steps.map(({ id }, index) => [id, index]))
  const needs = steps.map((step) => step.needs.flatMap((id) => indexes.get(id) ?? []))
  const before = steps.flatMap(({ role }, index) => (role?.type === "finally" ? [] : [index]))
  const seen = new Uint32Array(steps.length)
  let look = 0
  return {
    isUpstream(step, id) {
      const wanted = indexes.get(id)
      return wanted !== undefined && walk(step, (index) => index === wanted)
    },
    upstreamOf(step) {
      const found: string[] = []
      walk(step, (index) => {
        found.push((steps[index] as GraphStep).id)
        return false
      })
      return found.reverse()
    },
  }

  /** Meets each step upstream once, until `isEnd` says that it is enough. */
  function walk(step: GraphStep, isEnd: (index: number) => boolean): boolean {
    look++
    const from = needs[indexes.get(step.id) ?? -1] ?? []
    const open = step.role?.type === "finally" ? [...from, ...before] : [...from]
    for (let at = 0; at < open.length; at++) {
      const index = open[at] as number
      if (seen[index] === look) continue
      if (isEnd(index)) return true
      seen[index] = look
      open.push(...(needs[index] ?? []))
    }
    return false
  }
}
