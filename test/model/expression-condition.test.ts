import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { ExpressionError, type ExpressionScope, evaluateCondition } from "../../src/model/expression.ts"
import { checkCondition, checkExpressions } from "../../src/model/expression-check.ts"
import { readsOf, readsOfText, usesStatus } from "../../src/model/expression-reads.ts"
import { valuesOf } from "../../src/model/expression-values.ts"
import { cel, scope } from "./expression-scope.ts"

const going: ExpressionScope = { ...scope, status: { success: true, failure: false } }
const failing: ExpressionScope = { ...scope, status: { success: false, failure: true } }

describe("a condition", () => {
  test.each<readonly [string, boolean, boolean]>([
    ["success()", true, false],
    ["failure()", false, true],
    ["always()", true, true],
    ["!success()", false, true],
    ["failure() && event == 'create'", false, true],
    ["success() || resource.spec.n == 3", true, true],
    ["event == 'update'", false, false],
    [cel("success()"), true, false],
    [`  ${cel("event == 'create'")}`.trim(), true, true],
    ["resource.spec.list.all(item, item < 9 && success())", true, false],
  ])("says of a run that goes well and of one that fails: %s", (source, well, failed) => {
    expect(evaluateCondition(source, going)).toBe(well)
    expect(evaluateCondition(source, failing)).toBe(failed)
    expect(evaluateCondition(source, going)).toBe(well)
    expect(checkCondition(source)).toEqual([])
  })

  test.each<readonly [string, string]>([
    ["resource.spec.none", "No such key: none"],
    ["resource.spec.n", "neither true nor false but 3"],
    ["resource.spec.text", 'neither true nor false but "it\'s"'],
    ["1 + 1", "neither true nor false but 2"],
    ["1 +", "is not CEL"],
    ["", "found nothing"],
    [`a ${cel("true")}`, "with text around it"],
    [`${cel("true")} && ${cel("true")}`, "with text around it"],
    ["sucess()", 'unknown function "sucess"'],
  ])("without a truth value throws: %s", (source, why) => {
    expect(() => evaluateCondition(source, going)).toThrow(ExpressionError)
    expect(() => evaluateCondition(source, going)).toThrow(why)
  })

  test("that asks how the run goes has no value where nobody says it", () => {
    expect(() => evaluateCondition("true || failure()", scope)).toThrow("failure() has no value here")
    expect(evaluateCondition("always()", scope)).toBe(true)
  })

  test.each<readonly [string, string, string | undefined]>([
    ["'yes'", `Expected a condition that is true or false; "'yes'" is a text`, undefined],
    [
      "1 + size(event)",
      'Expected a condition that is true or false; "1 + size(event)" is a number',
      undefined,
    ],
    ["[success()]", 'Expected a condition that is true or false; "[success()]" is a list', undefined],
    ["{}", 'Expected a condition that is true or false; "{}" is a mapping', undefined],
    ["json(event)", 'Expected a condition that is true or false; "json(event)" is a text', undefined],
    ["sucess()", 'The expression "sucess()" calls the unknown function "sucess"', "success()"],
    ["event.startWith('c')", 'calls the unknown function "startWith"', "startsWith()"],
    ["contains(event, 'c')", 'the unknown function "contains"; it is written value.contains(…)', undefined],
    ["event.success()", 'the unknown function "success"; it is written success(…)', undefined],
    ["success(1)", "no function takes these values: success(int)", undefined],
    ["event = 'create'", "CEL compares with ==", undefined],
    ["event === 'create'", "CEL compares with == and !=", undefined],
    ["success() and failure()", "CEL writes && for and", undefined],
    ["success() &&", "it ends too early", undefined],
    ["steps.unit-tests.success", 'an id with "-" in it is written steps["unit-tests"]', undefined],
    ["evnt == 'create'", 'uses the unknown name "evnt"', "event"],
    ["__budget == 1", 'uses the unknown name "__budget"', undefined],
    ["__status.success", 'uses the unknown name "__status"', undefined],
    ["__turn(1)", 'unknown function "__turn"', undefined],
  ])("that is wrong is found without running it: %s", (source, message, nearest) => {
    const [fault, ...more] = checkCondition(source)
    expect(fault?.message).toContain(message)
    expect(fault?.nearest).toBe(nearest as string)
    expect(more).toEqual([])
  })

  test("has its faults where they stand, also when the same was seen in braces", () => {
    const source = "event ==== 'create'"
    expect(checkExpressions(cel(source))).toMatchObject([{ at: 12 }])
    expect(checkCondition(source)).toMatchObject([{ at: 8 }])
    expect(checkCondition(`  ${source}`)).toMatchObject([{ at: 10 }])
    expect(checkCondition(cel(source))).toMatchObject([{ at: 12 }])
  })

  test("throws nothing but an ExpressionError, whatever it is made of", () => {
    const piece = fc.constantFrom(
      ..."success() failure( ) } }} resource steps . [ ] 'late' status == != && || ! ? : + - 1 2.5 null true in".split(
        " ",
      ),
      ..."has( size( json( env CI { } , .map(x, .exists(x, x cel.bind( .matches( .join( type( event \" ' \\".split(
        " ",
      ),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom("", " "), (pieces, between) => {
        const source = pieces.join(between)
        try {
          expect(evaluateCondition(source, going)).toBeBoolean()
        } catch (thrown) {
          if (!(thrown instanceof ExpressionError)) throw thrown
        }
        expect(checkCondition(source).length).toBeLessThanOrEqual(1)
        expect(valuesOf(source, going)).toBeArray()
        expect(usesStatus(source)).toBeBoolean()
      }),
      { numRuns: 1_000 },
    )
  }, 30_000)
})

describe("what a condition reads", () => {
  const chains = (source: string) => readsOf(source).map(({ expression }) => expression)

  test.each<readonly [string, readonly string[]]>([
    ["steps.test.status == 'failed'", ["steps.test.status"]],
    [`steps["unit-tests"].data.list[0] > 1`, [`steps["unit-tests"].data.list[0]`]],
    ["has(steps.test.data.image)", ["steps.test.data.image"]],
    ["steps[metadata.name].status == event", ["steps", "metadata.name", "event"]],
    ["resource.spec.list.exists(item, item == run.id)", ["resource.spec.list", "run.id"]],
    ["resource.spec.list.exists(run, run.id == env.ID)", ["resource.spec.list", "env.ID"]],
    ["cel.bind(env, env.PARENT, env.ID) == ''", ["env.PARENT"]],
    ["size(steps) > 1 && success()", ["steps"]],
    [cel("results.a.success"), ["results.a.success"]],
    ["1 +", []],
  ])("is told from its text: %s", (source, reads) => {
    expect(chains(source)).toEqual(reads as string[])
  })

  test("has the members that are plain, and says whether they are all", () => {
    expect(readsOf("steps['a'].data[0].b[event].c")[0]).toEqual({
      expression: "steps['a'].data[0].b",
      root: "steps",
      members: ["a", "data", 0, "b"],
      isWhole: false,
      isAsked: false,
      start: 0,
    })
    expect(readsOf("!(  env.A == '')")[0]).toMatchObject({ members: ["A"], isWhole: true, start: 4 })
  })

  test("can be told of a text too", () => {
    expect(readsOfText(`a ${cel("event")} b ${cel("env.A")}`).map(({ root }) => root)).toEqual([
      "event",
      "env",
    ])
  })

  test.each<readonly [string, boolean]>([
    ["success()", true],
    ["event == 'create' || [1].all(x, always())", true],
    [cel("!failure()"), true],
    ["steps.success.success", false],
    ["event == 'success()'", false],
    ["failure(", false],
  ])("and whether it asks how the run goes: %s", (source, uses) => {
    expect(usesStatus(source)).toBe(uses)
  })
})

describe("the values that a condition read", () => {
  test("are shown each once, in the order they are written", () => {
    expect(
      valuesOf(
        "failure() && steps.late.status == 'skipped' && steps.late.data.x == env.CI && !failure()",
        failing,
      ),
    ).toEqual([
      { expression: "failure()", value: true },
      { expression: "steps.late.status", value: "skipped" },
      { expression: "steps.late.data.x" },
      { expression: "env.CI", value: "(set)" },
    ])
  })

  test("name no variable, and say of all of them that they are there", () => {
    const values = valuesOf('env[event] == env.NONE && env.exists(name, name == "CI")', failing)
    expect(values).toEqual([
      { expression: "env", value: "(set)" },
      { expression: "event", value: "create" },
      { expression: "env.NONE" },
    ])
  })

  test("are cut when they are large", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`k${n}`, "x".repeat(1_000)]))
    const metadata = {
      many,
      list: Array.from({ length: 100 }, (_, n) => n),
      deep: { a: { b: { c: { d: 1 } } } },
    }
    const [list, ofMany, deep] = valuesOf(
      "size(metadata.list) + size(metadata.many) + size(metadata.deep) > 0",
      {
        metadata,
      },
    )
    expect(list?.value).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, "…"])
    expect(JSON.stringify(ofMany?.value).length).toBeLessThan(2_500)
    expect(deep?.value).toEqual({ a: { b: { c: "…" } } })
  })
})
