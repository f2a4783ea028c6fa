import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import { escapePointer } from "./json-pointer.ts"

/*
 * The `default`s of a JSON Schema as values of fields that are not there. Those of `properties` count, also below `items`
 * and `allOf`: there it is certain that the schema is meant for the field. Behind a `$ref` and in a choice (`anyOf`,
 * `if`, …) a default stays what it is to JSON Schema, a remark.
 */

/** A default, what comes of it, and where its field is in the schema, as a JSON Pointer. */
export interface SchemaDefault {
  readonly pointer: string
  readonly value: Json
}

/** The value with the defaults of all fields in it that are not there. The value itself is left as it is. */
export function withDefaults(schema: Json, value: Json): Json {
  if (!isJsonObject(schema)) return value
  const { items, allOf } = schema
  const own = isJsonObject(value)
    ? withFields(schema, value)
    : Array.isArray(value) && isJsonObject(items)
      ? value.map((item: Json) => withDefaults(items, item))
      : value
  return Array.isArray(allOf) ? allOf.reduce<Json>((all, part: Json) => withDefaults(part, all), own) : own
}

function withFields({ properties }: JsonObject, value: JsonObject): JsonObject {
  const fields = isJsonObject(properties) ? Object.entries(properties) : []
  const filled = fields.flatMap(([name, field]): [string, Json][] => {
    const given = Object.hasOwn(value, name) ? value[name] : defaultOf(field)
    return given === undefined ? [] : [[name, withDefaults(field, given)]]
  })
  return { ...value, ...Object.fromEntries(filled) }
}

/** All defaults that {@link withDefaults} may fill in. */
export function defaultsIn(schema: Json, pointer = ""): readonly SchemaDefault[] {
  if (!isJsonObject(schema)) return []
  const { properties, items, allOf } = schema
  const below = [
    ...(isJsonObject(items) ? [{ part: items, at: `${pointer}/items` }] : []),
    ...(Array.isArray(allOf)
      ? allOf.map((part: Json, index) => ({ part, at: `${pointer}/allOf/${index}` }))
      : []),
  ]
  const fields = Object.entries(isJsonObject(properties) ? properties : {}).map(([name, part]) => ({
    part,
    at: `${pointer}/properties/${escapePointer(name)}`,
  }))
  return [
    ...fields.flatMap(({ part, at }) => {
      const value = defaultOf(part)
      return value === undefined ? [] : [{ pointer: at, value: withDefaults(part, value) }]
    }),
    ...[...fields, ...below].flatMap(({ part, at }) => defaultsIn(part, at)),
  ]
}

function defaultOf(schema: Json): Json | undefined {
  return isJsonObject(schema) && Object.hasOwn(schema, "default") ? schema["default"] : undefined
}
