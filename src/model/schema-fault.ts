import type * as v from "valibot"
import { resourceEvents } from "./event.ts"
import type { Fault } from "./fault.ts"
import { escapePointer } from "./json-pointer.ts"
import { nearestName } from "./nearest.ts"

/** A fault with its path, and whether it is the key there that is wrong rather than the value. */
export type PathFault = Fault & { readonly path: string; readonly atKey?: boolean }

/** Says what a schema found, in words for people. A missing field has the path it would have. */
export function schemaFault(issue: v.BaseIssue<unknown>): PathFault {
  const path = (issue.path ?? []).map(({ key }) => `/${escapePointer(String(key))}`).join("")
  const missing = missingField(issue)
  if (missing !== undefined) return { message: `Expected the field "${missing}", which is missing`, path }
  const { input } = issue
  const nearest =
    path.startsWith("/on/") && typeof input === "string" ? nearestName(input, resourceEvents) : undefined
  return { message: messageOf(issue), path, ...(nearest === undefined ? {} : { nearest }) }
}

/** The field that is not there at all, when that is what the issue is about. */
export function missingField(issue: v.BaseIssue<unknown>): string | undefined {
  const last = issue.path?.at(-1)
  if (last === undefined || issue.received !== "undefined") return undefined
  return last.type === "object" && issue.input === undefined ? String(last.key) : undefined
}

function messageOf(issue: v.BaseIssue<unknown>): string {
  if (!issue.message.startsWith("Invalid ")) return issue.message
  if (issue.kind === "schema") return `Expected ${wordFor(issue.expected)}, found ${wordFor(issue.received)}`
  return issue.message.replace(/^Invalid [^:]*: /, "").replace(" but received ", ", found ")
}

const words: { readonly [type: string]: string } = {
  string: "a text",
  number: "a number",
  boolean: "true or false",
  null: "nothing",
  Object: "a mapping",
  Array: "a list",
  "(Object | undefined)": "a mapping",
}

function wordFor(type: string | null): string {
  if (type === null) return "something else"
  return words[type] ?? words[type.replace(/^\((.*) \| undefined\)$/, "$1")] ?? type
}
