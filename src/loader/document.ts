import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
} from "yaml"
import type { Fault } from "../model/fault.ts"
import { jsonDepthMax } from "../model/json.ts"
import { unescapePointer } from "../model/json-pointer.ts"
import { tooDeepAt } from "./nesting.ts"
import { offsetWithin } from "./scalar-offset.ts"

/** A position in a file, both counted from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** One YAML or JSON document: its plain value, or what keeps it from having one, and where everything in it stands. */
export interface ReadDocument {
  /** Undefined when there are faults. */
  readonly value: unknown
  readonly faults: readonly (Fault & Place)[]
  /**
   * Where the thing at a JSON Pointer stands; with `key`, where its key does; with `at`, where that character of its text
   * does, as far as the text stands there as it is. For what is missing: where the nearest thing around it starts.
   */
  readonly placeOf: (path: string, options?: { readonly key?: boolean; readonly at?: number }) => Place
}

const quoteRule = `Where YAML stands in { }, a text with an expression in it must be quoted: "\${{ resource.name }}"`

/** Aliases a document may use; each may stand for a large part, and parts of parts multiply. */
const aliasesMax = 100

/**
 * Reads all documents of a text, the empty ones left out. JSON is read as the YAML it is. Never throws: whatever is
 * wrong is a fault of its document.
 */
export function readDocuments(text: string): readonly ReadDocument[] {
  const deepAt = tooDeepAt(text, jsonDepthMax)
  if (deepAt !== undefined) return tooDeep(placeIn(text, deepAt))
  const lines = new LineCounter()
  // Its own check for repeated keys compares each with every other: half a minute for a mapping of 50,000.
  const options = { lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: false } as const
  try {
    const documents = parseAllDocuments(text, options)
    if (!Array.isArray(documents)) return []
    return documents
      .map((document: Document) => readDocument(document, { text, lines }))
      .filter(({ value, faults }) => faults.length > 0 || value !== null)
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown
    return tooDeep({ line: 1, column: 1 })
  }
}

function tooDeep(place: Place): readonly ReadDocument[] {
  const message = `Expected at most ${jsonDepthMax} levels of nesting`
  return [{ value: undefined, faults: [{ message, ...place }], placeOf: () => place }]
}

function placeIn(text: string, offset: number): Place {
  const before = text.slice(0, offset).split("\n")
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}

function readDocument(
  document: Document,
  { text, lines }: { readonly text: string; readonly lines: LineCounter },
): ReadDocument {
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const placeOf: ReadDocument["placeOf"] = (path, { key = false, at = 0 } = {}) => {
    const { offset, node } = find(document, path, key)
    return placeAt(offset + (at === 0 || !isScalar(node) ? 0 : offsetWithin(node, { text, at })))
  }
  // Behind the first error nothing is read as it was meant: what the parser says of it then only hides that one.
  const syntax = [...document.errors, ...document.warnings]
    .slice(0, 1)
    .map(({ message, pos: [offset] }) =>
      text.startsWith("${{", offset - 1)
        ? { message: quoteRule, ...placeAt(offset - 1) }
        : { message: firstLine(message), ...placeAt(offset) },
    )
  const faults =
    syntax.length > 0 ? syntax : [...repeatedKeys(document, placeAt), ...aliasFaults(document, placeAt)]
  if (faults.length > 0) return { value: undefined, faults, placeOf }
  try {
    return { value: document.toJS({ maxAliasCount: aliasesMax }), faults, placeOf }
  } catch (thrown) {
    if (!(thrown instanceof ReferenceError || thrown instanceof RangeError)) throw thrown
    return { value: undefined, faults: [{ message: firstLine(thrown.message), ...placeOf("") }], placeOf }
  }
}

function repeatedKeys(document: Document, placeAt: (offset: number) => Place): (Fault & Place)[] {
  const faults: (Fault & Place)[] = []
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>()
      for (const { key } of items) {
        const name = isScalar(key) ? key.value : key
        if (seen.has(name)) faults.push({ message: "Map keys must be unique", ...placeAt(startOf(key) ?? 0) })
        seen.add(name)
      }
    },
  })
  return faults
}

function aliasFaults(document: Document, placeAt: (offset: number) => Place): (Fault & Place)[] {
  const faults: (Fault & Place)[] = []
  let count = 0
  visit(document, {
    Alias(_, alias, around) {
      if (++count > aliasesMax) {
        faults.push({
          message: `Expected at most ${aliasesMax} aliases in a document`,
          ...placeAt(alias.range?.[0] ?? 0),
        })
        return visit.BREAK
      }
      const target = alias.resolve(document)
      const place = placeAt(alias.range?.[0] ?? 0)
      if (target === undefined) {
        faults.push({ message: `No anchor "&${alias.source}" stands before this alias`, ...place })
      } else if (around.some((node) => node === target)) {
        faults.push({ message: `The alias "*${alias.source}" stands inside what it names`, ...place })
      }
      return undefined
    },
  })
  return faults
}

/** The thing at a JSON Pointer and where it starts; without it, where the nearest thing around it does. */
function find(
  document: Document,
  path: string,
  key: boolean,
): { readonly offset: number; readonly node?: unknown } {
  const parts = path.split("/").slice(1).map(unescapePointer)
  let node: unknown = document.contents
  let offset = startOf(node) ?? document.range?.[0] ?? 0
  for (const [index, part] of parts.entries()) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find((item) => String(item.key) === part)
      if (pair === undefined) return { offset }
      const last = index === parts.length - 1
      node = pair.value
      offset = (last && key ? undefined : startOf(node)) ?? startOf(pair.key) ?? offset
    } else if (isSeq(node)) {
      node = node.items[Number(part)]
      if (node === undefined) return { offset }
      offset = startOf(node) ?? offset
    } else {
      return { offset }
    }
  }
  return { offset, node }
}

function startOf(node: unknown): number | undefined {
  return (node as Partial<Node> | null | undefined)?.range?.[0]
}

function firstLine(message: string): string {
  return message.split("\n", 1)[0] as string
}
