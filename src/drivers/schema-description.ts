import type { DriverSchemas } from "../model/driver.ts"
import { isJsonObject, type JsonObject } from "../model/json.ts"
import type { LoadedModule } from "./loaded-module.ts"
import { asJson } from "./result.ts"
import type { StandardSchema } from "./sdk.ts"

/** The longest schema, in characters of JSON: more is data that somebody keeps in one. */
const schemaLengthMax = 64 * 1024

type Side = "input" | "output"

/** What a driver takes and gives, its schemas as JSON Schema. One that cannot be written so is left out: a comfort is missing, nothing else. */
export async function describeSchemas({
  input,
  output,
  readsResults,
}: Pick<LoadedModule, "input" | "output" | "readsResults">): Promise<DriverSchemas> {
  const inputSchema = await jsonSchemaOf(input, "input")
  const outputSchema = await jsonSchemaOf(output, "output")
  return {
    ...(inputSchema === undefined ? {} : { inputSchema }),
    ...(outputSchema === undefined ? {} : { outputSchema }),
    ...(readsResults === undefined ? {} : { readsResults }),
  }
}

async function jsonSchemaOf(
  schema: StandardSchema<unknown, unknown> | undefined,
  side: Side,
): Promise<JsonObject | undefined> {
  if (schema === undefined) return undefined
  try {
    const made = await convert(schema, side)
    if (made === undefined || JSON.stringify(made).length > schemaLengthMax) return undefined
    const { $schema: _, ...rest } = made
    return rest
  } catch {
    return undefined
  }
}

/** By the library itself, where it knows how (the Standard JSON Schema extension); else valibot's by its structure. */
async function convert(
  schema: StandardSchema<unknown, unknown>,
  side: Side,
): Promise<JsonObject | undefined> {
  const standard: { readonly vendor: string; readonly jsonSchema?: Partial<StandardJsonSchema> } =
    schema["~standard"]
  const own = standard.jsonSchema?.[side]?.({ target: "draft-07" })
  if (own !== undefined) return asObject(own)
  return standard.vendor === "valibot" ? asObject(await convertValibot(schema, side)) : undefined
}

type StandardJsonSchema = Readonly<Record<Side, (options: { readonly target: string }) => unknown>>

async function convertValibot(schema: object, side: Side): Promise<unknown> {
  // Loaded when it is needed: most workers of a driver are never asked for its schemas.
  const { toJsonSchema } = await import("@valibot/to-json-schema")
  return toJsonSchema(schema as Parameters<typeof toJsonSchema>[0], {
    target: "draft-07",
    typeMode: side,
    // What has no like in JSON Schema (a check, a custom schema) is let through by what is made.
    errorMode: "ignore",
    overrideAction: ({ valibotAction, jsonSchema, errors }) => {
      if (valibotAction.type !== "regex" || errors === undefined) return undefined
      // A pattern without its flags could refuse what the driver takes.
      const { pattern: __, ...rest } = jsonSchema
      return rest
    },
  })
}

function asObject(made: unknown): JsonObject | undefined {
  const json = asJson(made, "schema")
  return isJsonObject(json) ? json : undefined
}
