import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { ExpressionError, evaluateExpressions, hasExpressions } from "../../src/model/expression.ts"
import { checkExpressions } from "../../src/model/expression-check.ts"
import { parseTemplate } from "../../src/model/expression-template.ts"
import type { Json } from "../../src/model/json.ts"
import { cel, scope } from "./expression-scope.ts"

const answerTo = (text: string): Json | undefined => evaluateExpressions({ x: text }, scope)["x"]

describe("an expression", () => {
  test.each<readonly [string, Json]>([
    ["resource.spec.n", 3],
    ["resource.spec.n + 1", 4],
    ["1 - resource.spec.half", 0.5],
    ["resource.spec.n * 2 % 4", 2],
    ["resource.spec.n / 2", 1.5],
    ["7 / 2", 3],
    ["resource.spec.list[1]", 2],
    ["resource.spec.list.filter(x, x > 1)", [2, 3]],
    ["size(resource.spec.list)", 3],
    ["resource.spec.deep", { a: true }],
    ["resource.spec.nothing", null],
    ["has(resource.spec.none) ? resource.spec.none : 'default'", "default"],
    ["results['build-1'].data.image", "i:1"],
    ["steps['build-1'].status == 'succeeded' && event == \"create\"", true],
    ["metadata.registry + '/' + run.pipeline", "registry.local/release"],
    ["{'a': {'b': 1u}}", { a: { b: 1 } }],
    ["timestamp('2026-01-01T00:00:00Z')", "2026-01-01T00:00:00.000Z"],
    ["env.CI", "true"],
    ["steps.late.status", "skipped"],
    ["json(resource.spec.deep)", '{"a":true}'],
    ["json('a') + json(1)", '"a"1'],
    ["always()", true],
    ["resource.spec.n - (2 - 1)", 2],
    ["size(resource.spec.list) == resource.spec.n", true],
    ["2 in resource.spec.list && !(5 in resource.spec.list)", true],
    ["'a,b'.split(',').map(part, part + '!').join('/')", "a!/b!"],
    ["[].join()", ""],
    ["'v1.2'.matches('^v[0-9.]+$')", true],
    ["cel.bind(half, resource.spec.half, half + half)", 1],
    ["resource.spec.list.exists(item, item / 0 > 1 || item == 3)", true],
  ])("alone in a string keeps its value's type: %s", (expression, value) => {
    expect(answerTo(cel(expression))).toEqual(value)
    expect(checkExpressions({ x: cel(expression) })).toEqual([])
  })

  test("within a text is written into it: strings bare, null as nothing, the rest as JSON", () => {
    const text = `a ${cel("resource.spec.text")} b${cel("null")} c ${cel("resource.spec.list")} ${cel("resource.spec.n")}`
    expect(answerTo(text)).toBe("a it's b c [1,2,3] 3")
  })

  test("may hold braces and quotes, and so can write its own opening", () => {
    expect(answerTo(cel("{'a': {'b': '}}'}}['a']['b']"))).toBe("}}")
    expect(answerTo(cel("'$' + '{{'"))).toBe("${{")
    expect(answerTo(cel(String.raw`'it\'s }}'`))).toBe("it's }}")
    expect(answerTo(cel("'''a'}}'''"))).toBe("a'}}")
    expect(answerTo(cel(String.raw`r'\d}}'`))).toBe(String.raw`\d}}`)
  })

  test("is found at any depth, and keys are left alone", () => {
    const key = cel("1")
    const input = { a: [{ b: cel("1 + 1") }, "plain", 5, null], [key]: true }
    expect(evaluateExpressions(input, scope)).toEqual({ a: [{ b: 2 }, "plain", 5, null], [key]: true })
    expect(hasExpressions(input)).toBe(true)
  })

  test.each<readonly [string, string, string | undefined]>([
    [cel("resourc.x"), 'uses the unknown name "resourc"', "resource"],
    [cel("zzz"), 'uses the unknown name "zzz"', undefined],
    [cel("1 +"), "is not CEL", undefined],
    [cel("nofunction(1)"), 'calls the unknown function "nofunction"', undefined],
    [cel("1 == 'a'"), "cannot be evaluated", undefined],
    [cel(""), "Expected a CEL expression", undefined],
    [`\${{ 1 + 1`, 'Expected "}}"', undefined],
    [`\${{ 'open }}`, 'Expected "}}"', undefined],
  ])("that is wrong is found without running it: %s", (text, message, nearest) => {
    const [fault, ...more] = checkExpressions({ "a/b": [text] })
    expect(fault).toMatchObject({ path: "/a~1b/0", message: expect.stringContaining(message) })
    expect(fault?.nearest).toBe(nearest)
    expect(more).toEqual([])
    expect(() => answerTo(text)).toThrow(ExpressionError)
  })

  test.each<readonly [string, string]>([
    ["resource.spec.none", "No such key: none"],
    ["results.later.data", "No such key: later"],
    ["resource.constructor", "No such key: constructor"],
    ["resource.__proto__", "No such key: __proto__"],
    ["1 / 0", "division by zero"],
    ["1.0 / 0.0", "not a JSON number"],
    ["9007199254740993", "too large"],
    ["duration('1s')", "not a JSON value"],
    ["b'bytes'", "not a JSON value"],
    ["type(1)", "not a JSON value"],
  ])("without a JSON value throws and says where: %s", (expression, why) => {
    try {
      evaluateExpressions({ a: { b: [cel(expression)] } }, scope)
      expect.unreachable()
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(ExpressionError)
      expect(thrown).toMatchObject({ path: "/a/b/0", expression })
      expect((thrown as Error).message).toContain(why)
      expect((thrown as Error).message).toContain("/a/b/0")
    }
  })

  test("stays right when more texts were seen than stay compiled", () => {
    for (let n = 0; n < 1_100; n++) expect(answerTo(cel(`${n} + 1`))).toBe(n + 1)
    expect(answerTo(cel("0 + 1"))).toBe(1)
  })
})

describe("an input without expressions", () => {
  test("is answered as it is", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (input) => {
        const json = JSON.parse(JSON.stringify(input))
        fc.pre(!hasExpressions(json))
        expect(evaluateExpressions(json, scope)).toBe(json)
        expect(checkExpressions(json)).toEqual([])
      }),
    )
  })
})

describe("a text", () => {
  test("is cut so that its parts make it whole again", () => {
    const piece = fc.constantFrom("${{", "}}", "a", " ", "$", "{", "}", "'", '"', "1+1", "\\", "r'")
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join("")
        const parts = parseTemplate(text)
        const inner = parts.map((part) => (part.type === "text" ? part.text : part.expression)).join("")
        const bare = (whole: string) => whole.replaceAll(/[\s${}]/g, "")
        expect(bare(inner)).toBe(bare(text))
        if (parts.some(({ type }) => type !== "text")) expect(text).toContain("${{")
      }),
    )
  })
})
