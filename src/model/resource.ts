import * as v from "valibot"
import { canonicalJson, type Json, type JsonObject, jsonObjectSchema, jsonSchema } from "./json.ts"
import { nameSchema } from "./name.ts"

/** A resource as a client sends it. Fields we do not know are ignored: older clients send some. */
export const resourceSourceSchema = v.object({
  name: nameSchema,
  resource: nameSchema,
  pipeline: v.optional(
    v.union([
      nameSchema,
      v.pipe(
        v.literal(""),
        v.transform(() => undefined),
      ),
    ]),
  ),
  metadata: v.nullish(jsonObjectSchema),
  spec: v.nullish(jsonSchema),
})
export type ResourceSource = v.InferOutput<typeof resourceSourceSchema>

/** One version of a resource, as stored and as drivers receive it. Never changed once written. */
export interface Resource {
  readonly id: string
  readonly name: string
  /** The name of its resource definition: its kind. */
  readonly resource: string
  readonly pipeline?: string
  /** Counts from 1 and goes on through a delete and a new create of the same name. */
  readonly version: number
  readonly metadata: JsonObject
  readonly spec: Json
  readonly createdAt: string
  readonly updatedAt: string
}

/** A resource definition as a client sends it or a file declares it. */
export const definitionSourceSchema = v.object({
  kind: v.optional(v.literal("ResourceDefinition")),
  name: nameSchema,
  description: v.optional(v.string()),
  version: v.optional(v.string()),
  schema: v.union([v.boolean(), jsonObjectSchema], "Expected a JSON Schema: a mapping or a boolean"),
})
export type DefinitionSource = v.InferOutput<typeof definitionSourceSchema>

/** Every field of a resource definition, for naming the nearest one to a misspelt field. */
export const definitionFields = Object.keys(definitionSourceSchema.entries)

/** Identity of what a resource definition says: SHA-256 in hex, whoever wrote it and when. */
export function definitionHash(definition: DefinitionSource | ResourceDefinition): string {
  const { name, description = null, version = null, schema } = definition
  const canonical = canonicalJson({ name, description, version, schema })
  return new Bun.CryptoHasher("sha256").update(canonical).digest("hex")
}

/** A resource definition as stored. `schema` is JSON Schema of draft 4, 7 or 2020-12, told by its `$schema`. */
export interface ResourceDefinition {
  readonly id: string
  readonly name: string
  readonly description?: string
  readonly version?: string
  readonly schema: boolean | JsonObject
  /** The file that owns it, relative to the pipelines folder; absent when it came through the API. */
  readonly file?: string
  readonly createdAt: string
  readonly updatedAt: string
}
