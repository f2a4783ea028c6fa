import { ConveyorError } from "../errors.ts"
import type { ResourceEvent } from "../model/event.ts"
import type { SchemaCheck } from "../model/json-schema.ts"
import { nearestName } from "../model/nearest.ts"
import { type PipelineRecord, startsOn } from "../model/pipeline.ts"
import type { ResourceDefinition, ResourceSource } from "../model/resource.ts"
import { definitionKey, pipelineKey, prefixes } from "../store/keys.ts"
import type { Store } from "../store/store.ts"
import { definitionNotFound, schemaCheck } from "./definitions.ts"
import { parsedEntries } from "./parsed-entries.ts"

/** Whether a run starts, and on which pipeline revision; none without a pipeline. */
export type RunPlan =
  | { readonly starts: false }
  | { readonly starts: true; readonly pipeline?: { readonly name: string; readonly hash: string } }

/** A resource that may be stored, and what its event starts. */
export interface CheckedResource {
  /** With the defaults of fields that its spec does not have. */
  readonly source: ResourceSource
  readonly plan: RunPlan
}

/** What resources are checked against: their definitions and pipelines. */
export interface ResourceKinds {
  /**
   * Checks a resource against its definition and its pipeline. Rejects with `NOT_FOUND` when the definition is missing, and
   * with `INVALID` when the pipeline is missing or for another kind, or the spec does not match the schema.
   */
  check(source: ResourceSource, event: ResourceEvent): Promise<CheckedResource>
  /** What deleting a resource starts: nothing when its pipeline is gone. */
  planDelete(pipeline: string | undefined): Promise<RunPlan>
}

/** Keeps compiled schemas and parsed pipelines for as long as they are not written again. */
export function resourceKinds(store: Store): ResourceKinds {
  const schemaOf = parsedEntries(
    (value): Promise<SchemaCheck> => schemaCheck((JSON.parse(value) as ResourceDefinition).schema),
  )
  const recordOf = parsedEntries((value) => JSON.parse(value) as PipelineRecord)

  return {
    async check(source, event) {
      const [definition, pipeline] = await Promise.all([
        store.get(definitionKey(source.resource)),
        source.pipeline === undefined ? undefined : store.get(pipelineKey(source.pipeline)),
      ])
      if (definition === undefined) throw await definitionNotFound(store, source.resource)
      const { value: spec, faults } = (await schemaOf(definition))(source.spec ?? {}, "/spec")
      if (faults.length > 0) {
        throw new ConveyorError("INVALID", `The spec does not match the definition "${source.resource}"`, {
          faults,
        })
      }
      const checked = { ...source, spec }
      if (source.pipeline === undefined) return { source: checked, plan: { starts: true } }
      const record = pipeline === undefined ? undefined : recordOf(pipeline)
      if (record?.pipeline.resource !== source.resource) throw await wrongPipeline(store, source)
      return { source: checked, plan: planOf(record, event) }
    },
    async planDelete(name) {
      if (name === undefined) return { starts: true }
      const pipeline = await store.get(pipelineKey(name))
      return pipeline === undefined ? { starts: false } : planOf(recordOf(pipeline), "delete")
    },
  }
}

function planOf({ pipeline, hash }: PipelineRecord, event: ResourceEvent): RunPlan {
  return startsOn(pipeline, event)
    ? { starts: true, pipeline: { name: pipeline.name, hash } }
    : { starts: false }
}

/** Why the pipeline cannot be used, and the nearest one of this kind. */
async function wrongPipeline(store: Store, source: ResourceSource): Promise<ConveyorError> {
  const name = source.pipeline as string
  const { entries } = await store.list(prefixes.pipelines, { limit: 1_000 })
  const pipelines = entries.map((entry) => (JSON.parse(entry.value) as PipelineRecord).pipeline)
  const existing = pipelines.find((pipeline) => pipeline.name === name)
  const ofKind = pipelines.filter((pipeline) => pipeline.resource === source.resource)
  const nearest = nearestName(
    name,
    ofKind.map((pipeline) => pipeline.name),
  )
  const message =
    existing === undefined
      ? `There is no pipeline "${name}"`
      : `The pipeline "${name}" is for resources of kind "${existing.resource}", not "${source.resource}"`
  return new ConveyorError("INVALID", message, {
    faults: [{ message, path: "/pipeline", ...(nearest === undefined ? {} : { nearest }) }],
  })
}
