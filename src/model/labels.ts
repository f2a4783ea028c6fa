import * as v from "valibot"
import { isName, nameRule } from "./name.ts"

/** What a host says of itself, or a pipeline asks of a host: `{ os: linux, gpu: "yes" }`. */
export interface Labels {
  readonly [key: string]: string
}

const labelRule = `Expected labels such as { gpu: "yes" }: keys and values are ${nameRule}`

/** Labels as a mapping; numbers and booleans that YAML made of them are taken as their text. */
export const labelsSchema = v.record(
  v.pipe(v.string(), v.check(isName, labelRule)),
  v.pipe(
    v.union([v.string(), v.number(), v.boolean()], labelRule),
    v.transform(String),
    v.check(isName, labelRule),
  ),
  labelRule,
)

/** Labels as one text, `os=linux,gpu=yes`; undefined when it is not that. The empty text has none. */
export function parseLabels(text: string): Labels | undefined {
  if (text === "") return {}
  const labels: Record<string, string> = {}
  for (const part of text.split(",")) {
    const [key = "", value = "", ...rest] = part.split("=")
    if (rest.length > 0 || !isName(key) || !isName(value)) return undefined
    labels[key] = value
  }
  return labels
}

/** `os=linux,gpu=yes`, by key. */
export function formatLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",")
}

/** Does a host with these labels have all that is asked for? */
export function fits(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)
}
