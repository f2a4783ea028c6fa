import { expect, test } from "bun:test"
import { dataReadByCondition, dataReadByInputs } from "../../src/model/data-needs.ts"
import type { PipelineStep } from "../../src/model/pipeline.ts"

const step = (more: Partial<PipelineStep>): PipelineStep => ({
  id: "last",
  driver: "d",
  needs: [],
  timeoutMs: 1,
  ...more,
})

const conditions: readonly (readonly [string, "all" | readonly string[]])[] = [
  ["true", []],
  ["success() && resource.name == 'a'", []],
  ["steps.a.status == 'succeeded'", []],
  ["steps.a.message == '' || results.b.success", []],
  ["steps.a.data.n > 1", ["a"]],
  ["results['a'].data.n > 1 && results.b['data'] == 1", ["a", "b"]],
  ["has(steps.a.data)", ["a"]],
  ["steps.a == results.b", ["a", "b"]],
  ["steps.a[resource.spec.field] == 1", ["a"]],
  ["steps[resource.spec.step].data == 1", "all"],
  ["results.exists(id, results[id].data == 1)", "all"],
  ["size(json(results)) > 0", "all"],
  ["resource.metadata.stage == 'x'", []],
  ["resource.metadata.driverresults.d.message == 'x'", []],
  ["resource.metadata.driverresults.d.data.n == 1", "all"],
  ["resource.metadata['driverresults.d'] == ''", "all"],
  ["resource.metadata[resource.name] == ''", "all"],
  ["json(resource) == ''", "all"],
]

test.each(conditions)("the condition %s may read the data of %p", (condition, expected) => {
  const reads = dataReadByCondition(step({ if: condition }))
  expect(reads === "all" ? reads : [...reads]).toEqual(expected as string[])
})

test("inputs, variables and the timeout are read, wherever in them an expression stands", () => {
  const cel = (expression: string) => `before \${{ ${expression} }} after`
  const reads = dataReadByInputs(
    step({
      if: "results.condition.data == 1",
      with: { list: [{ text: cel("results.a.data.n") }], plain: "results.none.data" },
      env: { B: cel("steps.b.data") },
      timeout: cel("results.c.data.limit"),
    }),
  )
  expect(reads).toEqual(new Set(["a", "b", "c"]))
})
