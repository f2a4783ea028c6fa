import { type CompiledPart, compileCondition, compileText } from "./expression-program.ts"
import type { Fault } from "./fault.ts"
import { isJsonObject, type Json } from "./json.ts"
import { escapePointer } from "./json-pointer.ts"

/** A fault in an expression: in which text, as a JSON Pointer, and from which character of it on. */
export interface ExpressionFault extends Fault {
  readonly path: string
  readonly at: number
}

/**
 * Everything wrong with the expressions in a value that can be told without running them and without knowing the
 * pipeline: syntax, unknown names and functions, types. Paths are JSON Pointers into the value.
 */
export function checkExpressions(value: Json): ExpressionFault[] {
  return textsIn(value).flatMap(({ text, path }) => compileText(text).flatMap((part) => faultOf(part, path)))
}

/** The same for a condition, which must be true or false wherever its type can be told. The path is the empty one. */
export function checkCondition(source: string): ExpressionFault[] {
  const compiled = compileCondition(source)
  if (compiled.type === "invalid") return faultOf(compiled, "")
  const { expression, valueType, start } = compiled
  if (valueType === "bool" || valueType === "dyn") return []
  const message = `Expected a condition that is true or false; "${expression}" is ${wordFor(valueType)}`
  return [{ message, path: "", at: start }]
}

/** Every text with an expression in it, and where it stands. */
export function textsIn(value: Json, path = ""): readonly { readonly text: string; readonly path: string }[] {
  if (typeof value === "string") return value.includes("${{") ? [{ text: value, path }] : []
  if (Array.isArray(value)) return value.flatMap((item: Json, index) => textsIn(item, `${path}/${index}`))
  if (!isJsonObject(value)) return []
  return Object.entries(value).flatMap(([key, field]) => textsIn(field, `${path}/${escapePointer(key)}`))
}

function faultOf(part: CompiledPart, path: string): ExpressionFault[] {
  return part.type === "invalid" ? [{ ...part.fault, path, at: part.at }] : []
}

const words: { readonly [type: string]: string } = {
  string: "a text",
  int: "a number",
  uint: "a number",
  double: "a number",
  null: "null",
  bytes: "bytes",
  "google.protobuf.Duration": "a duration",
  "google.protobuf.Timestamp": "a time",
}

function wordFor(type: string): string {
  if (type.startsWith("list")) return "a list"
  if (type.startsWith("map")) return "a mapping"
  return words[type] ?? `a ${type}`
}
