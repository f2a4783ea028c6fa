/** A text of at most this many characters, or its beginning and a `…`. Never ends in half a character. */
export function shortened(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text
  return `${text.slice(0, lengthMax).replace(/[\uD800-\uDBFF]$/, "")}…`
}
