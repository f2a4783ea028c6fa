import { expect, test } from "bun:test"
import fc from "fast-check"
import { evaluateExpressions } from "../../src/model/expression.ts"
import { ExpressionBudget } from "../../src/model/expression-budget.ts"
import { makeEnvironment } from "../../src/model/expression-environment.ts"
import { compileText } from "../../src/model/expression-program.ts"
import { toJson } from "../../src/model/expression-value.ts"
import type { Json, JsonObject } from "../../src/model/json.ts"
import { cel } from "./expression-scope.ts"

const metadata: JsonObject = { a: 1, b: [1, 2.5, 3], t: "text", m: { x: { y: [true] } }, "a b": null }
const env: JsonObject = {}

/** Expressions of every form there is, with the spaces and parentheses that a person might write. */
const { expression } = fc.letrec<{ expression: string; leaf: string }>((tie) => ({
  leaf: fc.constantFrom(
    ..."1 2 0 -3 2.5 1u 'a' \"b\" r'\\d' '\\n\\u00e9' true false null [] {} 0x1F 1e3 123456789.123456789 b'x'".split(
      " ",
    ),
    ..."metadata.a metadata.b metadata.t metadata.m.x.y metadata.m metadata.b[1] metadata.none metadata['a b']".split(
      " ",
    ),
    ..."env.none x y int string google.protobuf.Duration duration('90s') timestamp('2026-01-01T00:00:00Z')".split(
      " ",
    ),
  ),
  expression: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    tie("leaf"),
    fc
      .tuple(
        tie("expression"),
        fc.constantFrom("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"),
        tie("expression"),
      )
      .map((parts) => parts.join(" ")),
    fc
      .tuple(tie("expression"), tie("expression"), tie("expression"))
      .map(([a, b, c]) => `${a} ? ${b} : ${c}`),
    tie("expression").map((inner) => `(${inner})`),
    tie("expression").map((inner) => `!${inner}`),
    tie("expression").map((inner) => `-(${inner})`),
    fc.array(tie("expression"), { maxLength: 3 }).map((items) => `[${items.join(", ")}]`),
    fc.tuple(tie("expression"), tie("expression")).map(([key, value]) => `{string(${key}): ${value}}`),
    fc.tuple(tie("expression"), tie("expression")).map(([of, index]) => `(${of})[${index}]`),
    fc
      .tuple(
        tie("expression"),
        fc.constantFrom("map", "filter", "all", "exists", "exists_one"),
        tie("expression"),
      )
      .map(([of, loop, body]) => `(${of}).${loop}(x, ${body})`),
    fc
      .tuple(tie("expression"), tie("expression"), tie("expression"))
      .map(([of, a, b]) => `[${of}].map(x, ${a}, ${b})`),
    fc.tuple(tie("expression"), tie("expression")).map(([value, body]) => `cel.bind(y, ${value}, ${body})`),
    fc
      .tuple(fc.constantFrom("size", "string", "int", "double", "type", "dyn"), tie("expression"))
      .map(([f, a]) => `${f}(${a})`),
    fc
      .tuple(
        tie("expression"),
        fc.constantFrom(
          "size()",
          "join()",
          "join('-')",
          "split('')",
          "contains('a')",
          "matches('a+')",
          "trim()",
        ),
      )
      .map(([of, f]) => `(${of}).${f}`),
    fc.constantFrom("has(metadata.m.x)", "has(metadata.none)", "has(env.none)"),
  ),
}))

const plain = makeEnvironment()

function valueByItself(source: string): Json | undefined {
  try {
    return toJson(plain.parse(source)({ metadata, env }), new ExpressionBudget())
  } catch {
    return undefined
  }
}

test("an expression over whose types the library stumbles is invalid, and throws nothing", () => {
  const source = "1 + ([]).map(x, {string(x + 1): 1})"
  expect(compileText(cel(source))).toMatchObject([
    { type: "invalid", fault: { message: expect.stringContaining("its types do not fit together") } },
  ])
})

// The library by itself has no value for some that are fine, as for a number of JSON bound to a name: its check takes
// the sum of an int and of anything for an int.
test("an expression that is metered has the value that it has by itself", () => {
  let compared = 0
  fc.assert(
    fc.property(expression, (source) => {
      const [part] = compileText(cel(source))
      fc.pre(part?.type === "program")
      const value = valueByItself(source)
      if (value === undefined) return
      expect(evaluateExpressions(cel(source), { metadata, env })).toEqual(value)
      compared++
    }),
    { numRuns: 1_000, maxSkipsPerRun: 100 },
  )
  expect(compared).toBeGreaterThan(150)
}, 60_000)
