import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import type { ResourceEvent } from "../model/event.ts"
import type { Json } from "../model/json.ts"
import { compileSchema } from "../model/json-schema.ts"
import type { Pipeline } from "../model/pipeline.ts"
import { type DefinitionSource, type Resource, resourceSourceSchema } from "../model/resource.ts"
import { schemaFault } from "../model/schema-fault.ts"
import { buildResource } from "./run-resource.ts"

/** The resource of a plan, and which of its fields only a real one has. */
export interface PlannedResource {
  readonly resource: Resource
  readonly madeUp: ReadonlySet<string>
}

/** Only a store knows them. */
const fieldsOfStore = ["id", "version", "createdAt", "updatedAt"]

/**
 * The resource that a plan is for: as `conveyor run` would send it with the same `file` and `set`; without any, one of
 * which nothing but the kind is known. Throws `INVALID` for one that a host would refuse.
 */
export async function resourceToPlan(
  pipeline: Pipeline,
  {
    file,
    set,
    definition,
  }: {
    readonly file?: string
    readonly set: readonly string[]
    readonly definition?: Pick<DefinitionSource, "schema">
  },
): Promise<PlannedResource> {
  const kind = pipeline.resource
  const isGiven = file !== undefined || set.length > 0
  const madeUpName = `${pipeline.name}-${crypto.randomUUID()}`
  const built = await buildResource({
    pipeline: pipeline.name,
    kind,
    name: madeUpName,
    set,
    ...(file === undefined ? {} : { resource: file }),
  })
  const parsed = v.safeParse(resourceSourceSchema, built)
  if (!parsed.success) {
    throw new ConveyorError("INVALID", "The resource does not validate", {
      faults: parsed.issues.map(schemaFault),
    })
  }
  const { name, metadata, spec } = parsed.output
  if (parsed.output.resource !== kind) {
    const message = `The pipeline "${pipeline.name}" is for resources of kind "${kind}", not "${parsed.output.resource}"`
    throw new ConveyorError("INVALID", message)
  }
  const sent = spec ?? {}
  const resource: Resource = {
    id: "",
    name,
    resource: kind,
    pipeline: pipeline.name,
    version: 1,
    metadata: { ...metadata, version: "1" },
    spec: isGiven && definition !== undefined ? await specFor(kind, sent, definition) : sent,
    createdAt: "",
    updatedAt: "",
  }
  const open = isGiven ? [] : ["metadata", "spec"]
  const unnamed = name === madeUpName ? ["name"] : []
  return { resource, madeUp: new Set([...fieldsOfStore, ...open, ...unnamed]) }
}

/** The spec as a host would store it. Throws `INVALID` when it would not. */
async function specFor(
  kind: string,
  spec: Json,
  { schema }: Pick<DefinitionSource, "schema">,
): Promise<Json> {
  const compiled = await compileSchema(schema)
  const { value, faults } =
    "faults" in compiled ? { value: spec, faults: compiled.faults } : compiled.check(spec, "/spec")
  if (faults.length === 0) return value
  throw new ConveyorError("INVALID", `The spec does not match the definition "${kind}"`, { faults })
}

/** The event of a plan: the one that was asked for, else the first one that the pipeline is for. */
export function eventToPlan(pipeline: Pipeline, asked: ResourceEvent | undefined): ResourceEvent {
  const [first] = pipeline.on
  const event = asked ?? first
  if (event === undefined) throw new Error("A pipeline always names an event")
  if (pipeline.on.includes(event)) return event
  const on = pipeline.on.join(", ")
  throw new ConveyorError("USAGE", `The pipeline "${pipeline.name}" does not start on ${event}, but on ${on}`)
}
