import { CST, Lexer } from "yaml"

/** Anything that can open a level without a line of its own. */
const opening = /[[{?-]/g

/**
 * Where a YAML or JSON text first nests deeper than `depthMax` in the brackets or the indicators of one line; undefined
 * when it does not. That takes time in proportion to the text, whereas parsers take much longer over nesting. What
 * nests by indentation alone is bounded by its own length.
 */
export function tooDeepAt(text: string, depthMax: number): number | undefined {
  if ((text.match(opening)?.length ?? 0) <= depthMax) return undefined
  let offset = 0
  let brackets = 0
  let indicators = 0
  let isScalar = false
  for (const token of new Lexer().lex(text)) {
    const type = isScalar ? "scalar" : CST.tokenType(token)
    // This mark says that the next token is a scalar, whatever it looks like.
    isScalar = token === CST.SCALAR
    switch (type) {
      case "flow-seq-start":
      case "flow-map-start":
        brackets++
        break
      case "flow-seq-end":
      case "flow-map-end":
        brackets = Math.max(0, brackets - 1)
        break
      case "flow-error-end":
        brackets = 0
        break
      case "seq-item-ind":
      case "explicit-key-ind":
        indicators++
        break
      case "newline":
        indicators = 0
        break
      default:
        break
    }
    if (brackets + indicators > depthMax) return offset
    if (!isMark(token)) offset += token.length
  }
  return undefined
}

/** Tokens that stand for something and are not in the text. */
function isMark(token: string): boolean {
  return token === CST.SCALAR || token === CST.DOCUMENT || token === CST.FLOW_END
}
