import { describe, expect, test } from "bun:test"
import { ExpressionError, evaluateCondition, evaluateExpressions } from "../../src/model/expression.ts"
import type { JsonObject } from "../../src/model/json.ts"
import { cel } from "./expression-scope.ts"

/** Far above what a bounded evaluation takes on a busy machine, far below what an unbounded one would. */
const ceilingMs = 20_000
const timeoutMs = 2 * ceilingMs
const metadata: JsonObject = {
  list: Array.from({ length: 1_000 }, (_, n) => n),
  objects: Array.from({ length: 1_000 }, (_, n) => ({ n, list: [n, n, n], text: "a".repeat(20) })),
  text: "a".repeat(100_000),
}
const doubled = (times: number, start: string) => `['${start}']${".map(x, x + x)".repeat(times)}`

function refused(source: string): void {
  const start = performance.now()
  expect(() => evaluateExpressions({ x: cel(source) }, { metadata })).toThrow(ExpressionError)
  expect(() => evaluateExpressions({ x: cel(source) }, { metadata })).toThrow(/takes too long/)
  expect(performance.now() - start).toBeLessThan(ceilingMs)
}

describe("an expression that would hold up the host is stopped", () => {
  const list = "metadata.list"
  test.each<readonly [string, string]>([
    ["loops in loops", `${list}.map(x, ${list}.map(y, ${list}.map(z, x + y + z)))`],
    ["loops in loops that keep nothing", `${list}.all(x, ${list}.all(y, ${list}.all(z, true)))`],
    ["errors in loops", `${list}.exists(x, ${list}.exists(y, ${list}.exists(z, z / 0 == 1)))`],
    ["an error that an or swallows", `${list}.all(x, ${list}.all(y, ${list}.all(z, true))) || true`],
    ["a text that doubles", doubled(60, "ab")],
    ["a list that doubles", `[[1, 2]]${".map(x, x + x)".repeat(60)}`],
    ["a value that repeats itself", `[1]${".map(x, [x, x])".repeat(60)}`],
    ["a value that repeats itself as JSON", `json([1]${".map(x, [x, x])".repeat(60)})`],
    ["a value that repeats itself, compared", `[1]${".map(x, [x, x])".repeat(60)} == []`],
    ["bound names that double", `${"cel.bind(x, ".repeat(40)}'ab'${", x + x)".repeat(40)}`],
    ["a large text joined often", `${list}.map(x, metadata.text).join(',')`],
    ["a large separator", `${list}.map(x, 'a').join(metadata.text)`],
    ["large values compared often", `${list}.all(x, metadata.objects == metadata.objects)`],
    ["large lists searched often", `${list}.all(x, {'n': x} in metadata.objects || true)`],
    ["large texts split often", `${list}.map(x, size(metadata.text.split('a')))`],
    ["large texts searched often", `${list}.all(x, !metadata.text.contains('b'))`],
    ["large texts measured often", `${list}.all(x, size(metadata.text) > x)`],
    ["large texts put in order often", `${list}.all(x, ${list}.all(y, metadata.text <= metadata.text))`],
    ["a pattern that backtracks", "metadata.text.matches('^(a+)+$b')"],
  ])(
    "%s",
    (_, source) => {
      refused(source)
    },
    timeoutMs,
  )

  test("also when it is a condition", () => {
    expect(() =>
      evaluateCondition(`${list}.all(x, ${list}.all(y, ${list}.all(z, true)))`, { metadata }),
    ).toThrow(/takes too long/)
  })

  test("also together with the others of one input", () => {
    const input = Array.from({ length: 100 }, (_, n) =>
      cel(`${list}.all(x, ${list}.exists(y, y == x + ${n}))`),
    )
    const start = performance.now()
    expect(() => evaluateExpressions(input, { metadata })).toThrow(/takes too long/)
    expect(performance.now() - start).toBeLessThan(ceilingMs)
  })

  test("also when it is only long", () => {
    const sum = Array.from({ length: 5_000 }, () => "1").join(" + ")
    expect(() => evaluateExpressions(cel(sum), {})).toThrow("maxAstNodes")
    expect(() => evaluateExpressions(cel(`${"(".repeat(5_000)}1${")".repeat(5_000)}`), {})).toThrow(
      "maxDepth",
    )
  })
})

describe("an expression over a thousand items is fine", () => {
  test.each<readonly [string, boolean]>([
    ["metadata.objects.filter(o, o.n in o.list).map(o, o.text + string(o.n)).join(',').size() > 1000", true],
    ["metadata.list.filter(x, x < 100).all(x, metadata.list.exists(y, y == x * 9))", true],
    ["metadata.text.contains('aaa') && metadata.text.matches('^a+$')", true],
    ["json(metadata.objects).startsWith('[{')", true],
  ])("%s", (source, value) => {
    expect(evaluateCondition(source, { metadata })).toBe(value)
  })
})
