import { toJsonSchema } from "@valibot/to-json-schema"
import type { GenericSchema } from "valibot"
import { durationPattern, durationRule, durationSchema } from "../model/duration.ts"
import { isJsonObject, type Json, type JsonObject, jsonObjectSchema } from "../model/json.ts"
import { nameLengthMax, namePattern, nameRule, nameSchema } from "../model/name.ts"
import { pipelineSourceSchema } from "../model/pipeline-source.ts"
import { definitionSourceSchema } from "../model/resource.ts"
import { inputForEditors } from "./editor-input.ts"
import {
  concurrencyTexts,
  definitionTexts,
  kindText,
  pipelineTexts,
  retryTexts,
  stepTexts,
} from "./editor-texts.ts"

/** A driver as far as an editor is concerned. */
export interface EditorDriver {
  readonly name: string
  readonly inputSchema?: JsonObject
}

/**
 * A JSON Schema (draft 7) of the documents in a pipelines folder, for editors: it completes and checks fields, drivers'
 * names and their inputs. A driver that is not among these is no fault: it may come later.
 */
export function editorSchema(drivers: readonly EditorDriver[]): JsonObject {
  const described = drivers.filter(({ inputSchema }) => inputSchema !== undefined)
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Conveyor",
    type: "object",
    properties: { kind: { description: kindText, enum: ["Pipeline", "ResourceDefinition"] } },
    ...when(
      { properties: { kind: { const: "ResourceDefinition" } }, required: ["kind"] },
      { $ref: "#/definitions/resource-definition" },
      { $ref: "#/definitions/pipeline" },
    ),
    definitions: {
      pipeline: withSteps(fieldsOf(pipelineSourceSchema, pipelineTexts)) as JsonObject,
      "resource-definition": fieldsOf(definitionSourceSchema, definitionTexts),
      driver: { anyOf: [{ enum: drivers.map(({ name }) => name) }, nameText] },
      expression: { type: "string", pattern: "\\$\\{\\{" },
      inputs: { allOf: described.map(inputOf) },
      ...Object.fromEntries(described.map(definitionOf)),
    },
  }
}

const inputName = (driver: string) => `with-${driver}`

/** A step of this driver has such an input. */
function inputOf({ name, inputSchema }: EditorDriver): JsonObject {
  const needsInput = Array.isArray(inputSchema?.["required"]) && inputSchema["required"].length > 0
  return when(
    { properties: { driver: { const: name } }, required: ["driver"] },
    {
      properties: { with: { $ref: `#/definitions/${inputName(name)}` } },
      ...(needsInput ? { required: ["with"] } : {}),
    },
  )
}

function when(condition: JsonObject, schema: JsonObject, otherwise: JsonObject = {}): JsonObject {
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  return { if: condition, then: schema, else: otherwise }
}

function definitionOf({ name, inputSchema = {} }: EditorDriver): [string, JsonObject] {
  return [inputName(name), inputForEditors(inputSchema, `/definitions/${inputName(name)}`)]
}

const nameText = {
  type: "string",
  pattern: namePattern.source,
  patternErrorMessage: `Expected a name: ${nameRule}`,
  maxLength: nameLengthMax,
}
const durationText = {
  type: ["string", "number"],
  pattern: durationPattern.source,
  patternErrorMessage: durationRule,
  minimum: 0,
}

/** A schema of ours as JSON Schema. Unlike ours, it refuses unknown fields: files are read so. */
function fieldsOf(schema: GenericSchema, texts: Readonly<Record<string, string>>): JsonObject {
  const { $schema: _, ...made } = toJsonSchema(schema, {
    target: "draft-07",
    typeMode: "input",
    errorMode: "ignore",
    overrideSchema({ valibotSchema, jsonSchema }) {
      if (valibotSchema === nameSchema.pipe[0]) return nameText as typeof jsonSchema
      if (valibotSchema === durationSchema) return durationText as typeof jsonSchema
      if (valibotSchema === jsonObjectSchema) return { type: "object" }
      return valibotSchema.type === "object" ? { ...jsonSchema, additionalProperties: false } : undefined
    },
  })
  return withTexts(made as JsonObject, texts)
}

/** Writes what each field is for beside it. */
function withTexts(schema: JsonObject, texts: Readonly<Record<string, string>>): JsonObject {
  const fields = Object.entries(propertiesOf(schema)).map(([field, value]) => {
    const description = texts[field]
    return [field, description === undefined ? value : { description, ...(value as JsonObject) }] as const
  })
  return { ...schema, properties: Object.fromEntries(fields) }
}

/** Adds what the fields of mappings inside are for. Whatever has a driver is a step: its driver and input are completed. */
function withSteps(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(withSteps)
  if (!isJsonObject(schema)) return schema
  const inside = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, withSteps(value)]))
  const { driver, retry, concurrency, ...others } = propertiesOf(inside)
  if (driver === undefined && concurrency === undefined) return inside
  const properties = {
    ...others,
    ...(driver === undefined ? {} : { driver: { allOf: [{ $ref: "#/definitions/driver" }] } }),
    ...(retry === undefined ? {} : { retry: withTexts(retry as JsonObject, retryTexts) }),
    ...(concurrency === undefined
      ? {}
      : { concurrency: withTexts(concurrency as JsonObject, concurrencyTexts) }),
  }
  if (driver === undefined) return { ...inside, properties }
  return {
    ...withTexts({ ...inside, properties }, stepTexts),
    allOf: [{ $ref: "#/definitions/inputs" }],
  }
}

function propertiesOf({ properties }: JsonObject): JsonObject {
  return properties !== undefined && isJsonObject(properties) ? properties : {}
}
