import * as v from "valibot"
import { durationSchema } from "./duration.ts"
import { type ResourceEvent, resourceEventSchema } from "./event.ts"
import type { Fault } from "./fault.ts"
import { canonicalJson, type Json, type JsonObject, jsonObjectSchema } from "./json.ts"
import { type Labels, labelsSchema } from "./labels.ts"
import { isName, nameSchema } from "./name.ts"
import { nearestName } from "./nearest.ts"

/** The most steps a pipeline may have. */
export const stepsMax = 5_000
/** How long an attempt may take when its step names no `timeout`. */
export const timeoutMsDefault = 3_600_000

const retrySchema = v.object({
  /** How many attempts in all, the first included. */
  attempts: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100)),
  /** Wait before the second attempt; doubles for each one after it. */
  backoff: v.optional(durationSchema, 0),
})

/**
 * What a step does to the world, which decides about an attempt that was cut off, so that nobody knows how far it came:
 * a `pure` or `idempotent` one is done again, a `once` one waits until somebody says how it ended.
 */
export const stepEffects = ["pure", "idempotent", "once"] as const
export type StepEffects = (typeof stepEffects)[number]

const stepSchema = v.object({
  id: v.optional(nameSchema),
  name: v.optional(v.string()),
  driver: nameSchema,
  with: v.optional(jsonObjectSchema),
  needs: v.optional(v.array(nameSchema)),
  timeout: v.optional(durationSchema),
  retry: v.optional(retrySchema),
  effects: v.optional(
    v.picklist(stepEffects, `Expected one of ${stepEffects.map((kind) => `"${kind}"`).join(", ")}`),
  ),
})

/**
 * A pipeline as people write it, in a file or in the body of `POST /pipelines`. Unknown fields are dropped here (older
 * clients send some); the loader of files refuses them by name with {@link pipelineFields}.
 */
export const pipelineSourceSchema = v.object({
  kind: v.optional(v.literal("Pipeline")),
  name: nameSchema,
  description: v.optional(v.string()),
  version: v.optional(v.string()),
  resource: nameSchema,
  on: v.optional(v.pipe(v.array(resourceEventSchema), v.minLength(1, "Expected at least one event"))),
  metadata: v.optional(jsonObjectSchema),
  host: v.optional(labelsSchema),
  steps: v.pipe(
    v.array(stepSchema, "Expected a list of steps"),
    v.minLength(1, "Expected at least one step"),
    v.maxLength(stepsMax, `Expected at most ${stepsMax} steps`),
  ),
})
export type PipelineSource = v.InferOutput<typeof pipelineSourceSchema>

/** Every field of a pipeline, of a step and of `retry`, for naming the nearest one to a misspelt field. */
export const pipelineFields = {
  pipeline: Object.keys(pipelineSourceSchema.entries),
  step: Object.keys(stepSchema.entries),
  retry: Object.keys(retrySchema.entries),
} as const

/** One step with everything implied written out. */
export interface PipelineStep {
  readonly id: string
  readonly name?: string
  readonly driver: string
  /** The driver's input; strings in it may hold `${{ }}` expressions, evaluated when an attempt starts. */
  readonly with?: JsonObject
  /** The ids it waits for, always written out: a step that named none has the one above it. */
  readonly needs: readonly string[]
  readonly timeoutMs: number
  readonly retry?: { readonly attempts: number; readonly backoffMs: number }
  /** Default `idempotent`. */
  readonly effects?: StepEffects
}

/**
 * A pipeline with everything implied written out: what is hashed, stored, and pinned by runs. Its steps form a graph
 * without cycles in which every `needs` is the id of a step.
 */
export interface Pipeline {
  readonly name: string
  readonly description?: string
  readonly version?: string
  readonly resource: string
  readonly on: readonly ResourceEvent[]
  readonly metadata: JsonObject
  /** Labels a host must have to do its steps; absent: any host will do. */
  readonly host?: Labels
  readonly steps: readonly PipelineStep[]
}

/** A pipeline as it stands under its name in the store. */
export interface PipelineRecord {
  readonly pipeline: Pipeline
  /** {@link canonicalPipeline} hashed: the identity a run is pinned to. */
  readonly hash: string
  /** The file that owns it, relative to the pipelines folder; absent when it came through the API. */
  readonly file?: string
  readonly createdAt: string
  readonly updatedAt: string
}

/** The text whose SHA-256 is the pipeline's hash. */
export function canonicalPipeline(pipeline: Pipeline): string {
  return canonicalJson(pipeline as unknown as Json)
}

/**
 * Writes out what a source implies: step ids (the driver's name, numbered when it stands there again), `needs`
 * (the step above) and defaults; and finds what no schema can: ids used twice, needs of unknown steps, cycles.
 * Returns every fault at once, each with its path; a source with faults yields no pipeline.
 */
export function resolvePipeline(source: PipelineSource): { pipeline: Pipeline } | { faults: Fault[] } {
  const ids = stepIds(source)
  const faults = [...repeatedIds(ids), ...unknownNeeds(source, ids)]
  if (faults.length > 0) return { faults }

  const steps = source.steps.map((step, index): PipelineStep => {
    const above = ids[index - 1]
    return {
      id: ids[index] as string,
      ...(step.name === undefined ? {} : { name: step.name }),
      driver: step.driver,
      ...(step.with === undefined ? {} : { with: step.with }),
      needs: [...new Set(step.needs ?? (above === undefined ? [] : [above]))],
      timeoutMs: step.timeout ?? timeoutMsDefault,
      ...(step.retry === undefined
        ? {}
        : { retry: { attempts: step.retry.attempts, backoffMs: step.retry.backoff } }),
      ...(step.effects === undefined ? {} : { effects: step.effects }),
    }
  })
  const cycle = findCycle(steps)
  if (cycle !== undefined) {
    const index = ids.indexOf(cycle[0] as string)
    return {
      faults: [
        { message: `The steps wait for each other: ${cycle.join(" → ")}`, path: `/steps/${index}/needs` },
      ],
    }
  }
  return {
    pipeline: {
      name: source.name,
      ...(source.description === undefined ? {} : { description: source.description }),
      ...(source.version === undefined ? {} : { version: source.version }),
      resource: source.resource,
      on: source.on ?? ["create"],
      metadata: source.metadata ?? {},
      ...(source.host === undefined ? {} : { host: source.host }),
      steps,
    },
  }
}

function stepIds(source: PipelineSource): string[] {
  const taken = new Set(source.steps.flatMap((step) => (step.id === undefined ? [] : [step.id])))
  return source.steps.map((step) => {
    if (step.id !== undefined) return step.id
    let id = step.driver
    for (let n = 2; taken.has(id); n++) id = `${step.driver}-${n}`
    taken.add(id)
    return id
  })
}

function repeatedIds(ids: readonly string[]): Fault[] {
  const first = new Map<string, number>()
  return ids.flatMap((id, index) => {
    const earlier = first.get(id)
    if (earlier === undefined) {
      first.set(id, index)
      return []
    }
    return [{ message: `The id "${id}" is already used by step ${earlier + 1}`, path: `/steps/${index}/id` }]
  })
}

function unknownNeeds(source: PipelineSource, ids: readonly string[]): Fault[] {
  const known = new Set(ids)
  return source.steps.flatMap((step, index) =>
    (step.needs ?? []).flatMap((need, at) => {
      if (known.has(need)) return []
      const nearest = nearestName(need, ids)
      return [
        {
          message: `No step has the id "${need}"; expected one of ${listNames(ids)}`,
          path: `/steps/${index}/needs/${at}`,
          ...(nearest === undefined ? {} : { nearest }),
        },
      ]
    }),
  )
}

function listNames(names: readonly string[]): string {
  const distinct = [...new Set(names)]
  const shown = distinct.slice(0, 8).map((name) => `"${name}"`)
  return distinct.length > shown.length ? `${shown.join(", ")}, …` : shown.join(", ")
}

/** Ids along one cycle, the first repeated at the end; undefined when there is none. Iterative: chains may be long. */
function findCycle(steps: readonly PipelineStep[]): string[] | undefined {
  const needs = new Map(steps.map((step) => [step.id, step.needs]))
  const done = new Set<string>()
  for (const { id: root } of steps) {
    const path: string[] = []
    const onPath = new Set<string>()
    const stack: { id: string; leave: boolean }[] = [{ id: root, leave: false }]
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      if (top.leave) {
        path.pop()
        onPath.delete(top.id)
        done.add(top.id)
        continue
      }
      if (onPath.has(top.id)) return [...path.slice(path.indexOf(top.id)), top.id]
      if (done.has(top.id)) continue
      path.push(top.id)
      onPath.add(top.id)
      stack.push({ id: top.id, leave: true })
      for (const need of needs.get(top.id) ?? []) stack.push({ id: need, leave: false })
    }
  }
  return undefined
}

/** Does a run of this pipeline start for this event? */
export function startsOn(pipeline: Pipeline, event: ResourceEvent): boolean {
  return pipeline.on.includes(event)
}

/** Would this be a valid id of a step? Drivers' names are, so steps of a run without a pipeline use them. */
export const isStepId = isName
