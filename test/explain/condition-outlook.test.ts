import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { type ConditionOutlook, outlookOf } from "../../src/explain/condition-outlook.ts"
import type { ExpressionScope } from "../../src/model/expression.ts"
import { shop } from "../rig/shop.ts"

const later = "all have ended"
const scope: ExpressionScope = {
  resource: { ...shop, spec: { env: "dev", count: 3 } },
  steps: { test: { status: "running" } },
  status: { success: true, failure: false },
}

/** What steps gave is open, and so is how they ended where `status` says so; all else is settled. */
function look(source: string, { status = false }: { readonly status?: boolean } = {}): ConditionOutlook {
  return outlookOf(source, {
    scope,
    openUntil: ({ root }) => (root === "steps" ? later : undefined),
    statusOpenUntil: status ? undefined : later,
  })
}

const situations: readonly (readonly [
  source: string,
  outcome: ConditionOutlook["outcome"],
  falseParts?: readonly string[],
])[] = [
  [`resource.spec.env == "dev"`, "true"],
  [`resource.spec.env == "prod"`, "false", [`resource.spec.env == "prod"`]],
  [`steps.test.status == "succeeded"`, "open"],
  [`steps.test.status == "succeeded" && resource.spec.env == "dev"`, "open"],
  [
    `steps.test.status == "succeeded" && resource.spec.env == "prod"`,
    "false",
    [`resource.spec.env == "prod"`],
  ],
  [`steps.test.status == "succeeded" || resource.spec.env == "dev"`, "true"],
  [`steps.test.status == "succeeded" || resource.spec.env == "prod"`, "open"],
  [`!(steps.test.status == "succeeded")`, "open"],
  [`!(resource.spec.count == 3) && failure()`, "false", ["!(resource.spec.count == 3)"]],
  [`resource.spec.count > 5 ? steps.test.success : resource.spec.env == "dev"`, "true"],
  [`steps.test.success ? true : false`, "open"],
  [`always() && (resource.spec.count > 5)`, "false", ["resource.spec.count > 5"]],
  [`failure()`, "open"],
  [
    `(resource.spec.count + 1) == (1 + resource.spec.count * 2) && resource.spec.env.startsWith("(")`,
    "false",
    [`(resource.spec.count + 1) == (1 + resource.spec.count * 2)`, `resource.spec.env.startsWith("(")`],
  ],
  [`\${{ resource.spec.env == "prod" }}`, "false", [`resource.spec.env == "prod"`]],
  ["resource.spec.missing == 1", "error"],
  ["resource.spec.missing == 1 && steps.test.success", "open"],
  ["resource.spec.missing == 1 || steps.test.success || true", "true"],
  ["resource.spec.count", "error"],
  ["resource.", "error"],
]

/** A condition, and what it comes to: undefined where that is open. */
interface Condition {
  readonly source: string
  readonly truth: boolean | undefined
}

const text = fc.constantFrom(
  ...[
    `"a"`,
    `"("`,
    `')'`,
    `"a\\")("`,
    `'it\\'s ('`,
    `"'("`,
    `'")'`,
    `"""x"(y"""`,
    `r"\\("`,
    `"a || b"`,
    `'''q')'''`,
  ],
)
const atom: fc.Arbitrary<Condition> = fc.oneof(
  fc.tuple(text, text).map(([a, b]) => ({ source: `${a} == ${b}`, truth: a === b })),
  text.map((a) => ({ source: `(size((${a})) + 1) * 2 < (3 - 2)`, truth: false })),
  text.map((a) => ({ source: `steps.test.data[${a}] == 1`, truth: undefined })),
  fc.constant({ source: `resource.spec.env == "dev" // (`, truth: true }),
)
const { conditions } = fc.letrec<{ conditions: Condition; inner: Condition }>((tie) => ({
  inner: tie("conditions").map(({ source, truth }) => ({ source: `(${source}\n)`, truth })),
  conditions: fc.oneof(
    { maxDepth: 4, depthSize: "medium" },
    atom,
    tie("inner"),
    tie("inner").map(({ source, truth }) => ({
      source: `! ${source}`,
      truth: truth === undefined ? undefined : !truth,
    })),
    fc.tuple(tie("inner"), tie("inner")).map(([a, b]) => ({
      source: `${a.source} && ${b.source}`,
      truth: a.truth === false || b.truth === false ? false : a.truth && b.truth,
    })),
    fc.tuple(tie("inner"), tie("inner")).map(([a, b]) => ({
      source: `${a.source}|| ${b.source}`,
      truth: a.truth || b.truth ? true : a.truth === false ? b.truth : undefined,
    })),
    fc.tuple(tie("inner"), tie("inner"), tie("inner")).map(([a, b, c]) => ({
      source: `${a.source} ? ${b.source} : ( ${c.source} )`,
      truth: a.truth === undefined ? undefined : a.truth ? b.truth : c.truth,
    })),
  ),
}))

describe("the outlook of a condition", () => {
  for (const [source, outcome, falseParts] of situations) {
    test(`is ${outcome} for ${source}`, () => {
      expect(look(source)).toMatchObject({ outcome, ...(falseParts === undefined ? {} : { falseParts }) })
    })
  }

  test("is what its parts come to, however they are joined and whatever their texts hold", () => {
    fc.assert(
      fc.property(conditions, ({ source, truth }) => {
        const { outcome, falseParts = [] } = look(source)
        expect({ source, outcome }).toEqual({ source, outcome: truth === undefined ? "open" : `${truth}` })
        for (const part of falseParts)
          expect({ part, outcome: look(part).outcome }).toEqual({ part, outcome: "false" })
      }),
      { numRuns: 1_000 },
    )
  })

  test("shows what it read, and leaves open what is not known yet", () => {
    expect(look(`resource.spec.env == "dev" && steps.test.success && failure()`).values).toEqual([
      { expression: "resource.spec.env", value: "dev" },
      { expression: "steps.test.success", until: later },
      { expression: "failure()", until: later },
    ])
    expect(look("failure()", { status: true })).toMatchObject({
      outcome: "false",
      values: [{ expression: "failure()", value: false }],
    })
  })

  test("says where success() is implied, and why there is no value", () => {
    expect(look("true").implied).toBe(true)
    expect(look("success()").implied).toBeUndefined()
    expect(look("resource.spec.missing == 1").message).toContain("No such key: missing")
  })
})
