const token =
  /[ \t\n\r]+|[{}[\],:]|"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)/y

/** Where a text stops being JSON, and what was expected there. Lines and columns count from 1. */
export interface JsonFault {
  readonly line: number
  readonly column: number
  readonly expected: string
}

/** Finds the first fault of a text that `JSON.parse` has refused; its messages name no place. */
export function findJsonFault(text: string): JsonFault {
  const open: ("{" | "[")[] = []
  let expected: Expected = "a value"
  let offset = 0
  while (offset < text.length) {
    token.lastIndex = offset
    const found = token.exec(text)?.[0]
    if (found === undefined) break
    if (!/^[ \t\n\r]/.test(found)) {
      const next = step(expected, found, open)
      if (next === undefined) break
      expected = next
    }
    offset += found.length
  }
  return { ...placeOf(text, offset), expected }
}

type Expected =
  | "a value"
  | 'a value or "]"'
  | 'a name in quotes or "}"'
  | "a name in quotes"
  | '":"'
  | '"," or "}"'
  | '"," or "]"'
  | "the end"

/** What is expected behind a token; undefined when the token is not what was expected. */
function step(expected: Expected, found: string, open: ("{" | "[")[]): Expected | undefined {
  switch (expected) {
    case "a value":
    case 'a value or "]"':
      if (found === "]" && expected !== "a value") return close(open)
      return value(found, open)
    case "a name in quotes":
    case 'a name in quotes or "}"':
      if (found === "}" && expected !== "a name in quotes") return close(open)
      return found.startsWith('"') ? '":"' : undefined
    case '":"':
      return found === ":" ? "a value" : undefined
    case '"," or "}"':
      return found === "," ? "a name in quotes" : found === "}" ? close(open) : undefined
    case '"," or "]"':
      return found === "," ? "a value" : found === "]" ? close(open) : undefined
    case "the end":
      return undefined
    default:
      return expected satisfies never
  }
}

function value(found: string, open: ("{" | "[")[]): Expected | undefined {
  if (found === "{" || found === "[") {
    open.push(found)
    return found === "{" ? 'a name in quotes or "}"' : 'a value or "]"'
  }
  return /^[}\],:]/.test(found) ? undefined : after(open)
}

function close(open: ("{" | "[")[]): Expected {
  open.pop()
  return after(open)
}

function after(open: readonly ("{" | "[")[]): Expected {
  const top = open.at(-1)
  return top === undefined ? "the end" : top === "{" ? '"," or "}"' : '"," or "]"'
}

function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf("\n") + 1
  return { line: before.split("\n").length, column: [...before.slice(lineStart)].length + 1 }
}
