import type { ListOptions } from "./store.ts"

/** All keys from `from` (inclusive) up to `to` (exclusive; undefined: no end), in the order of their UTF-8 bytes. */
export interface KeyRange {
  readonly from: string
  readonly to: string | undefined
}

/** The keys that `list` may answer. Undefined when `after` leaves none. */
export function keyRange(prefix: string, options: ListOptions): KeyRange | undefined {
  const whole = { from: prefix, to: prefixEnd(prefix) }
  const { after, reverse = false } = options
  if (after === undefined) return whole
  if (after.startsWith(prefix)) {
    // Nothing lies between a key and the same key followed by NUL.
    return reverse ? { from: prefix, to: after } : { from: `${after}\0`, to: whole.to }
  }
  const liesBefore = Buffer.compare(Buffer.from(after), Buffer.from(prefix)) < 0
  return liesBefore === reverse ? undefined : whole
}

const lastCodePoint = 0x10ffff

/**
 * The smallest key behind every key that starts with `prefix`; undefined when there is none. Code points have the
 * order of their UTF-8 bytes, so it is the prefix with its last code point moved on by one.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (points.at(-1) === lastCodePoint) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  // Surrogates are no characters: U+D7FF is followed by U+E000.
  const next = last === 0xd7ff ? 0xe000 : last + 1
  return String.fromCodePoint(...points, next)
}
