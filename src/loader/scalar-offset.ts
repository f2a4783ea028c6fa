import { Scalar } from "yaml"

/**
 * How far behind its start in the file the character `at` of a scalar's value stands. 0 where the file does not show the
 * value as it is: folded, or with escapes.
 */
export function offsetWithin(
  { type, value, range }: Scalar,
  { text, at }: { readonly text: string; readonly at: number },
): number {
  if (typeof value !== "string" || range === undefined || range === null) return 0
  const written = text.slice(range[0], range[1])
  switch (type) {
    case Scalar.PLAIN:
      return written.startsWith(value) ? at : 0
    case Scalar.QUOTE_SINGLE:
    case Scalar.QUOTE_DOUBLE:
      return written.slice(1, -1) === value ? at + 1 : 0
    case Scalar.BLOCK_LITERAL:
      return offsetInBlock({ written, value, at })
    default:
      return 0
  }
}

/** A block has its header in the first line, and every line of the value is indented. */
function offsetInBlock({ written, value, at }: { written: string; value: string; at: number }): number {
  const before = value.slice(0, at).split("\n")
  const line = value.split("\n")[before.length - 1] as string
  const lines = written.split("\n")
  const shown = lines[before.length]
  if (shown?.endsWith(line) !== true) return 0
  const start = lines.slice(0, before.length).reduce((sum, { length }) => sum + length + 1, 0)
  return start + (shown.length - line.length) + (before.at(-1) as string).length
}
