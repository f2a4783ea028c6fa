import { ConveyorError, messageOf } from "../errors.ts"
import { type Digest, digesting, lineOf, type MovedEntry } from "./digest.ts"
import { checkFormat, format } from "./format.ts"
import { checkCommit } from "./limits.ts"
import type { Snapshot } from "./snapshot.ts"

/*
 * An export is lines of JSON: a header, an entry to a line in the order of their keys, and a trailer that says how
 * many there were and what their digest is, so that a part of an export cannot pass for all of it.
 *
 *   {"format":1,"version":"0.1.0","createdAt":"2026-11-23T09:04:11.768Z","entries":2}
 *   {"key":"pipelines/a","value":"{…}"}
 *   {"key":"pipelines/b","value":"{…}"}
 *   {"end":{"entries":2,"sha256":"…"}}
 */

/** A snapshot as the lines of an export, each with its line end. */
export async function* exportLines(
  snapshot: Snapshot,
  about: { readonly version: string; readonly createdAt: string },
): AsyncGenerator<string> {
  yield `${JSON.stringify({ format, ...about, entries: snapshot.count })}\n`
  const digest = digesting()
  for await (const entry of snapshot.entries()) {
    const line = lineOf(entry)
    digest.add(line)
    yield line
  }
  yield `${JSON.stringify({ end: digest.end() })}\n`
}

/**
 * The entries of an export, from the bytes of its text; `name` is what errors call it. Each is handed out as it is
 * read, so only who has read to the end knows that all of it is good. Throws `STORE_CORRUPT` for a format this version
 * does not read, and `INVALID` for anything that is not a whole export.
 */
export async function* readExport(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<MovedEntry> {
  const digest = digesting()
  let number = 0
  let header: Header | undefined
  let end: Digest | undefined
  let last: string | undefined
  for await (const line of linesOf(chunks)) {
    const place = `${name}:${++number}`
    if (end !== undefined) throw invalid(place, "nothing comes behind the last line of an export")
    const fields = parseLine(line, place)
    if (header === undefined) {
      header = headerOf(fields, name)
      continue
    }
    end = endOf(fields)
    if (end !== undefined) continue
    const entry = entryOf(fields, place)
    if (last !== undefined && Buffer.compare(Buffer.from(last), Buffer.from(entry.key)) >= 0)
      throw invalid(place, "the keys are not in order")
    last = entry.key
    digest.add(lineOf(entry))
    yield entry
  }
  if (header === undefined || end === undefined)
    throw invalid(name, "it is cut off: its last line is missing")
  const found = digest.end()
  if (found.entries !== end.entries || found.entries !== header.entries)
    throw invalid(name, `it holds ${found.entries} entries, not ${end.entries}`)
  if (found.sha256 !== end.sha256) throw invalid(name, "its entries are not those it was made with")
}

interface Header {
  readonly entries: number
}

type Fields = Readonly<Record<string, unknown>>

function headerOf(fields: Fields, name: string): Header {
  const { format, entries } = fields
  if (format === undefined || typeof entries !== "number") throw invalid(name, "it is not an export")
  checkFormat(format, name)
  return { entries }
}

function endOf({ end }: Fields): Digest | undefined {
  return typeof end === "object" && end !== null ? (end as Digest) : undefined
}

function entryOf({ key, value }: Fields, place: string): MovedEntry {
  if (typeof key !== "string" || typeof value !== "string") throw invalid(place, "it is not an entry")
  try {
    checkCommit([], [{ type: "put", key, value }])
  } catch (error) {
    throw invalid(place, messageOf(error), error)
  }
  return { key, value }
}

function parseLine(line: string, place: string): Fields {
  try {
    const fields: unknown = JSON.parse(line)
    if (typeof fields === "object" && fields !== null) return fields as Fields
  } catch (error) {
    throw invalid(place, "it is not JSON", error)
  }
  throw invalid(place, "it is not a line of an export")
}

function invalid(place: string, fault: string, cause?: unknown): ConveyorError {
  return new ConveyorError("INVALID", `${place}: ${fault}`, { cause })
}

/** Only LF ends a line: JSON escapes it, and leaves other line ends of Unicode as they are. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let parts: string[] = []
  for await (const chunk of chunks) {
    const [first = "", ...rest] = decoder.decode(chunk, { stream: true }).split("\n")
    parts.push(first)
    for (const part of rest) {
      yield parts.join("")
      parts = [part]
    }
  }
  const left = parts.join("") + decoder.decode()
  if (left !== "") yield left
}
