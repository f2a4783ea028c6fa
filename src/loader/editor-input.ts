import { isJsonObject, type Json, type JsonObject } from "../model/json.ts"

/** What is written over the rest, so that an editor shows it whichever way a value is taken. */
const annotations = ["title", "description", "default", "examples"] as const
/** What makes a schema refuse a text that holds an expression. */
const limitsOfText = ["enum", "const", "pattern", "format", "minLength", "maxLength", "not", "$ref", "allOf"]
/** What would give the schema an address of its own, so that what it refers to is not found. */
const addresses = ["$schema", "$id", "$anchor"]

/**
 * A driver's input schema as an editor must see it: wherever it asks for something other than a text, a text with `${{ }}`
 * will do as well. `at` is where it is put in the whole, to which its references are led.
 */
export function inputForEditors(schema: JsonObject, at: string): JsonObject {
  return new InputRewrite(at).inside(schema)
}

class InputRewrite {
  readonly #at: string

  constructor(at: string) {
    this.#at = at
  }

  /** The schema of a value: itself, or an expression. */
  #value(schema: Json): Json {
    if (!isJsonObject(schema)) return schema
    const inside = this.inside(schema)
    if (takesAnyText(schema)) return inside
    const shown = Object.entries(inside).filter(([keyword]) => isAnnotation(keyword))
    const rest = Object.entries(inside).filter(([keyword]) => !isAnnotation(keyword))
    return {
      ...Object.fromEntries(shown),
      anyOf: [Object.fromEntries(rest), { $ref: "#/definitions/expression" }],
    }
  }

  /** The schema of something that is no text itself, with what is in it rewritten. */
  inside(schema: JsonObject): JsonObject {
    const rewritten = Object.entries(schema)
      .filter(([keyword]) => !addresses.includes(keyword))
      .map(([keyword, value]) => [keyword, this.#keyword(keyword, value)] as const)
    return Object.fromEntries(rewritten)
  }

  #keyword(keyword: string, value: Json): Json {
    switch (keyword) {
      case "properties":
      case "patternProperties":
        return mapped(value, (schema) => this.#value(schema))
      case "items":
        return Array.isArray(value) ? value.map((schema) => this.#value(schema)) : this.#value(value)
      case "additionalItems":
      case "additionalProperties":
        return this.#value(value)
      case "anyOf":
      case "oneOf":
      case "allOf":
        return Array.isArray(value) ? value.map((schema) => this.#part(schema)) : value
      case "then":
      case "else":
        return this.#part(value)
      case "definitions":
      case "$defs":
        return mapped(value, (schema) => this.#part(schema))
      case "not":
      case "if":
      case "contains":
      case "propertyNames":
      case "dependencies":
        return this.#references(value)
      case "$ref":
        return this.#reference(value)
      default:
        return value
    }
  }

  /** A schema that must go on to mean what it does, with its references led to where they are now. */
  #references(schema: Json): Json {
    if (Array.isArray(schema)) return schema.map((item) => this.#references(item))
    return mapped(schema, (value, key) => (key === "$ref" ? this.#reference(value) : this.#references(value)))
  }

  #reference(to: Json): Json {
    return typeof to === "string" && to.startsWith("#") ? `#${this.#at}${to.slice(1)}` : to
  }

  /** A schema that speaks of the same value as the one it is in, where the expression is allowed already. */
  #part(schema: Json): Json {
    return isJsonObject(schema) ? this.inside(schema) : schema
  }
}

function isAnnotation(keyword: string): boolean {
  return annotations.some((annotation) => annotation === keyword)
}

function mapped(value: Json, map: (schema: Json, name: string) => Json): Json {
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, map(schema, name)]))
}

function takesAnyText(schema: Json): boolean {
  if (!isJsonObject(schema)) return schema === true
  if (limitsOfText.some((keyword) => keyword in schema)) return false
  const { type, anyOf } = schema
  if (type !== undefined && ![type].flat().includes("string")) return false
  if ("oneOf" in schema || "if" in schema) return false
  return Array.isArray(anyOf) ? anyOf.some(takesAnyText) : true
}
