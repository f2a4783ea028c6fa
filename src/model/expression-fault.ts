import type { ASTNode, TypeError as CelTypeError, ParseError } from "@marcbachmann/cel-js"
import { expressionRoots, functionNames, methodNames } from "./expression-environment.ts"
import type { Fault } from "./fault.ts"
import { nearestName } from "./nearest.ts"

/** What CEL found wrong with an expression, in words for people, with the way to mend it. */
export function faultOfCel(expression: string, error: ParseError | CelTypeError): Fault {
  const node = error.node as ASTNode | undefined
  switch (error.code) {
    case "unknown_variable":
      if (node?.op === "id") return unknownName(expression, node.args)
      break
    case "no_matching_overload":
      if (node?.op === "call" && !functionNames.includes(node.args[0])) {
        return unknownFunction(expression, { name: node.args[0], known: functionNames, others: methodNames })
      }
      if (node?.op === "rcall" && !methodNames.includes(node.args[0])) {
        return unknownFunction(expression, { name: node.args[0], known: methodNames, others: functionNames })
      }
      break
    default:
      break
  }
  const isSyntax = error.name === "ParseError"
  const what = isSyntax ? "is not CEL" : "cannot be evaluated"
  return {
    message: `The expression "${expression}" ${what}: ${plainly(error.summary)}${hint(expression, isSyntax)}`,
  }
}

function unknownName(expression: string, name: string): Fault {
  const message = `The expression "${expression}" uses the unknown name "${name}"`
  const nearest = nearestName(name, expressionRoots)
  if (nearest !== undefined) return { message, nearest }
  return {
    message: `${message}; ${dashHint(expression, name) ?? `expected one of ${expressionRoots.join(", ")}`}`,
  }
}

/** `steps.unit-tests.status` reads `steps.unit` minus `tests.status`. */
function dashHint(expression: string, name: string): string | undefined {
  const match = new RegExp(`\\b(steps|results)\\.(\\w+(?:-\\w+)*-${name}(?:-\\w+)*)`).exec(expression)
  return match === null ? undefined : `an id with "-" in it is written ${match[1]}["${match[2]}"]`
}

function unknownFunction(
  expression: string,
  { name, known, others }: { name: string; known: readonly string[]; others: readonly string[] },
): Fault {
  const start = `The expression "${expression}" calls the unknown function "${name}"`
  if (others.includes(name)) {
    const form = others === methodNames ? `value.${name}(…)` : `${name}(…)`
    return { message: `${start}; it is written ${form}` }
  }
  const nearest = nearestName(name, known)
  return { message: start, ...(nearest === undefined ? {} : { nearest: `${nearest}()` }) }
}

/** CEL's own words, where others say it better. */
function plainly(summary: string): string {
  return summary
    .replace("Unexpected token: EOF", "it ends too early")
    .replace(/^Expected (\w+), got EOF$/, "it ends too early")
    .replace(/^found no matching overload for '(.*)'$/, "no function takes these values: $1")
    .replace(/^no such overload: (.*)$/, "no operator takes these values: $1")
    .replace(/\bdyn\b/g, "any")
}

/** Other languages' operators, the commonest of slips. */
function hint(expression: string, isSyntax: boolean): string {
  if (!isSyntax) return ""
  const bare = expression.replace(/"[^"]*"|'[^']*'/g, "")
  if (/[!=]==/.test(bare)) return "; CEL compares with == and !="
  if (/\b(?:and|or|not)\b/i.test(bare)) return "; CEL writes && for and, || for or, ! for not"
  if (/[^=!<>]=(?!=)/.test(bare)) return "; CEL compares with =="
  return ""
}
