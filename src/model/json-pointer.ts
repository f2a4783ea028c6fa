/** One part of a JSON Pointer (RFC 6901). */
export function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1")
}

/** What {@link escapePointer} was given. */
export function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~")
}
