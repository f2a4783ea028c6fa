/** A text cut at its expressions: what stands between `${{` and `}}` is CEL, the rest is text as it is. */
export type TemplatePart =
  | { readonly type: "text"; readonly text: string }
  /** `start` is where the expression begins in the text. */
  | { readonly type: "expression"; readonly expression: string; readonly start: number }
  | { readonly type: "unterminated"; readonly expression: string; readonly start: number }

/**
 * Cuts a text into its parts, in order. `}}` inside a CEL string or map does not end an expression, so that
 * `${{ {'a': {'b': 1}} }}` and `${{ '${{' }}` mean what they say. Never throws.
 */
export function parseTemplate(text: string): readonly TemplatePart[] {
  const parts: TemplatePart[] = []
  let at = 0
  while (at < text.length) {
    const open = text.indexOf("${{", at)
    if (open !== at) parts.push({ type: "text", text: text.slice(at, open === -1 ? text.length : open) })
    if (open === -1) break
    const close = findClose(text, open + 3)
    const inner = text.slice(open + 3, close ?? text.length)
    const expression = inner.trim()
    const start = open + 3 + (inner.length - inner.trimStart().length)
    parts.push({ type: close === undefined ? "unterminated" : "expression", expression, start })
    at = close === undefined ? text.length : close + 2
  }
  return parts
}

/** The position of the `}}` that ends the expression which starts at `from`. */
function findClose(text: string, from: number): number | undefined {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const char = text[at]
    if (char === '"' || char === "'") {
      const end = skipString(text, at)
      if (end === undefined) return undefined
      at = end - 1
    } else if (char === "{") {
      depth++
    } else if (char === "}" && depth > 0) {
      depth--
    } else if (char === "}" && text[at + 1] === "}") {
      return at
    }
  }
  return undefined
}

/** The position after a CEL string that starts with the quote at `from`: plain or triple, raw when `r` precedes. */
function skipString(text: string, from: number): number | undefined {
  const char = text[from] as string
  const quote = text.startsWith(char.repeat(3), from) ? char.repeat(3) : char
  const raw = /[rR]/.test(text[from - 1] ?? "")
  for (let at = from + quote.length; at < text.length; at++) {
    if (text[at] === "\\" && !raw) at++
    else if (text.startsWith(quote, at)) return at + quote.length
  }
  return undefined
}
