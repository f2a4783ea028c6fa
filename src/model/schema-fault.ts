import type * as v from "valibot"
import { durationRule, nearestDuration } from "./duration.ts"
import type { Fault } from "./fault.ts"
import { escapePointer } from "./json-pointer.ts"
import { nearestName } from "./nearest.ts"

/**
 * A fault with its path, and what is wrong there: the key rather than the value with `atKey`, the text there from a
 * character on with `at`.
 */
export type PathFault = Fault & { readonly path: string; readonly atKey?: boolean; readonly at?: number }

/**
 * The issues of a schema, those of a union opened: of a mapping that is almost one of several things, what is wrong in it
 * says more than that it is none of them.
 */
export function openIssues(issues: readonly v.BaseIssue<unknown>[]): readonly v.BaseIssue<unknown>[] {
  return issues.flatMap((issue) => {
    const isList = Array.isArray(issue.input)
    const deeper = openIssues(issue.issues ?? []).flatMap(({ path, ...inner }) =>
      path !== undefined && (path[0].type === "array") === isList ? [{ ...inner, path }] : [],
    )
    if (deeper.length === 0) return [issue]
    return deeper.map((inner): v.BaseIssue<unknown> => {
      const [first, ...rest] = [...(issue.path ?? []), ...inner.path]
      return { ...inner, path: [first as v.IssuePathItem, ...rest] }
    })
  })
}

/** Says what a schema found, in words for people. A missing field has the path it would have. */
export function schemaFault(issue: v.BaseIssue<unknown>): PathFault {
  const path = (issue.path ?? []).map(({ key }) => `/${escapePointer(String(key))}`).join("")
  const missing = missingField(issue)
  if (missing !== undefined) return { message: `Expected the field "${missing}", which is missing`, path }
  const nearest = typeof issue.input === "string" ? nearestTo(issue.input, issue) : undefined
  return { message: messageOf(issue), path, ...(nearest === undefined ? {} : { nearest }) }
}

/** What is valid and near, where an issue says what is valid: a duration, or one of some words. */
function nearestTo(input: string, { message }: v.BaseIssue<unknown>): string | undefined {
  if (message === durationRule) return nearestDuration(input)
  if (!message.startsWith("Expected one of ")) return undefined
  return nearestName(
    input,
    [...message.matchAll(/"([^"]+)"/g)].map(([, word]) => word as string),
  )
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
