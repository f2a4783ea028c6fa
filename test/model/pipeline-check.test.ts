import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { JsonObject } from "../../src/model/json.ts"
import { stepsMax } from "../../src/model/pipeline.ts"
import { checkPipeline } from "../../src/model/pipeline-check.ts"
import { cel } from "./expression-scope.ts"

/*
 *   clone ─► build ─┬─► unit-tests ─► deploy        finally: report ─► tell
 *                   └─► docs (build.ensure cleans)
 */
const steps: readonly JsonObject[] = [
  { id: "clone", driver: "git" },
  { id: "build", driver: "shell", ensure: { driver: "shell" } },
  { id: "unit-tests", driver: "shell" },
  {
    id: "docs",
    driver: "shell",
    needs: ["build"],
    ensure: [{ driver: "shell" }, { id: "wipe", driver: "shell" }],
  },
  { id: "deploy", driver: "shell", needs: ["unit-tests", { step: "build", optional: true }] },
]
const last: readonly JsonObject[] = [
  { id: "report", driver: "http" },
  { id: "tell", driver: "http" },
]
const base: JsonObject = {
  name: "release",
  resource: "app",
  metadata: { registry: "local", "two words": 1 },
  steps: steps as JsonObject[],
  finally: last as JsonObject[],
}

/** The pipeline with a field of one of its steps, found by its id or its place. */
function withField(path: string, field: string, value: JsonObject | string): JsonObject {
  const copy = structuredClone(base) as unknown as Record<string, unknown>
  const parts = path.split("/").filter((part) => part !== "")
  const target = parts.reduce((part, key) => part[key] as Record<string, unknown>, copy)
  target[field] = value
  return copy as unknown as JsonObject
}

const build = "/steps/1"
const buildEnsure = "/steps/1/ensure"
const unitTests = "/steps/2"
const docs = "/steps/3"
const wipe = "/steps/3/ensure/1"
const deploy = "/steps/4"
const report = "/finally/0"
const tell = "/finally/1"

describe("a condition of a step", () => {
  test.each<readonly [string, string]>([
    [build, "steps.clone.status == 'succeeded' && steps.clone.data.commit != ''"],
    [deploy, "steps.clone.success && steps['unit-tests'].success && has(steps.build.data)"],
    [deploy, "results['unit-tests'].data.count > 3 || failure()"],
    [buildEnsure, "steps.build.status == 'failed' && steps.clone.success"],
    [wipe, "steps.docs.success && steps['docs.ensure'].success"],
    [
      report,
      "failure() && steps.deploy.status in ['failed', 'cancelled'] && steps.docs.success && steps.wipe.success",
    ],
    [tell, "steps.report.success && always()"],
    [docs, "steps.exists(id, steps[id].status == 'failed')"],
    [docs, "steps[metadata.registry].success"],
    [docs, "metadata['two words'] == 1 && env.CI == 'true' && run.pipeline == 'release'"],
    [docs, "has(metadata.tag) && metadata.tag == 'x'"],
    [docs, "event in ['create', 'update'] && resource.spec.anything.at.all"],
    [docs, "[resource.spec].all(steps, steps.nothing == 1)"],
    [docs, cel("success()")],
    [docs, "true"],
  ])("may read what has ended then: %s %s", (path, condition) => {
    expect(checkPipeline(withField(path, "if", condition))).toEqual([])
  })

  const misreads: readonly (readonly [string, string, string, string?])[] = [
    [
      deploy,
      "steps.biuld.success",
      '"steps.biuld.success" reads the step "biuld", which does not exist',
      "build",
    ],
    [
      deploy,
      "results['unit-test'].success",
      'reads the step "unit-test", which does not exist',
      "unit-tests",
    ],
    [deploy, "has(steps.biuld.data)", 'reads the step "biuld"', "build"],
    [deploy, "steps.zzzzzz.success", 'before this one come "clone", "build", "unit-tests"'],
    ["/steps/0", "steps.zzzzzz.success", "and no step comes before this one"],
    [deploy, "steps.unit-tests.success", 'an id with "-" in it is written steps["unit-tests"]'],
    [deploy, "steps.unit.success", 'an id with "-" in it is written steps["unit-tests"]'],
    [
      deploy,
      "steps.docs.success",
      'the step does not wait for "docs"; write needs: [unit-tests, build, docs]',
    ],
    [unitTests, "steps.docs.success", "write needs: [build, docs]"],
    [build, "steps.build.success", "a step cannot read itself"],
    [build, "results.deploy.success", 'the step "deploy" comes after this one'],
    [deploy, "steps['build.ensure'].success", '"build.ensure" is a cleanup step, which only cleanup steps'],
    [deploy, "steps.report.success", 'the step "report" comes after this one'],
    [build, "steps['build.ensure'].success", 'the step "build.ensure" comes after this one'],
    [buildEnsure, "steps.docs.success", 'add "docs" to the needs of "build"'],
    [report, "steps.tell.success", 'the step "tell" comes after this one'],
    [wipe, "steps['build.ensure'].success", '"build.ensure" is a cleanup step'],
    [deploy, "steps.build.sucess", '"steps.build.sucess" reads the unknown field "sucess"', "success"],
    [deploy, "steps.build.outputs.x", "there are status, success, message, data"],
    [deploy, "results.build.status == 'failed'", 'reads the unknown field "status"'],
    [deploy, "resource.spce.x", 'reads the unknown field "spce"', "spec"],
    [deploy, "run.number > 1", 'reads the unknown field "number"; there are id, pipeline, createdAt'],
    [deploy, "event == 'craete'", '"event" is never "craete"', "create"],
    [deploy, "'push' != event", '"event" is never "push"; it is one of create, update, delete'],
    [deploy, "event in ['create', 'updated']", '"event" is never "updated"', "update"],
    [deploy, "steps.build.status == 'success'", '"steps.build.status" is never "success"', "succeeded"],
    [deploy, "steps['build'].status == 'failure'", 'is never "failure"', "failed"],
    [deploy, "'no'", `"'no'" is a text`],
    [deploy, "size(steps)", "is a number"],
    [report, "succes()", 'calls the unknown function "succes"', "success()"],
  ]
  test.each(misreads.map(([...row]) => [...row, undefined].slice(0, 4) as [string, string, string, string?]))(
    "may not read what has not, or is not: %s %s",
    (path, condition, message, nearest) => {
      const [fault, ...more] = checkPipeline(withField(path, "if", condition))
      expect(fault).toMatchObject({ path: `${path}/if`, message: expect.stringContaining(message) })
      expect(fault?.nearest).toBe(nearest as string)
      expect(more).toEqual([])
    },
  )

  test("gets a warning for metadata that the pipeline does not have", () => {
    expect(checkPipeline(withField(deploy, "if", "metadata.regsitry == 'x'"))).toEqual([
      {
        message: `The pipeline's metadata has no "regsitry", so "metadata.regsitry" has no value`,
        nearest: "registry",
        severity: "warning",
        path: `${deploy}/if`,
        at: 0,
      },
    ])
  })
})

describe("a text of a step", () => {
  test.each<readonly [string, JsonObject | string, string]>([
    ["with", { a: { b: ["x", `y ${cel("steps.docs.data")}`] } }, "/with/a/b/1"],
    ["env", { A: "", B: cel("steps.docs.data") }, "/env/B"],
    ["timeout", cel("steps.docs.data"), "/timeout"],
  ])("in %s is checked as conditions are", (field, value, at) => {
    for (const path of [deploy, buildEnsure]) {
      expect(checkPipeline(withField(path, field, value))).toMatchObject([
        { path: `${path}${at}`, message: expect.stringContaining('"steps.docs.data" has no value here') },
      ])
    }
    expect(checkPipeline(withField(report, field, value))).toEqual([])
  })

  test("may ask how the run goes", () => {
    expect(checkPipeline(withField(report, "with", { a: cel("failure() ? 'red' : 'green'") }))).toEqual([])
  })
})

describe("a text that is evaluated before any step runs", () => {
  const places: readonly (readonly [string, string, string, string])[] = [
    ["metadata", "", "metadata", "/metadata/a"],
    ["env", "", "env", "/env/a"],
    ["timeout", "", "timeout", "/timeout"],
    ["concurrency.key", "/concurrency", "key", "/concurrency/key"],
  ]
  const pipelineWith = (field: string, text: string): JsonObject => {
    if (field === "key") return { ...base, concurrency: { key: text } }
    return { ...base, [field]: field === "timeout" ? text : { a: text } }
  }

  test.each(places)(
    "in %s may read the resource, the run, the event and the host's variables",
    (_, __, field) => {
      expect(checkPipeline(pipelineWith(field, cel("resource.name + run.id + event + env.USER")))).toEqual([])
    },
  )

  test.each(places)("in %s may not read steps, nor ask how the run goes", (name, _, field, path) => {
    for (const [expression, message] of [
      ["steps.build.success", `${name} cannot read steps: it is evaluated before any step runs`],
      ["results.build.success", `${name} cannot read results: it is evaluated before any step runs`],
      ["success()", `success() has no value in ${name}, which is evaluated before any step runs`],
    ] as const) {
      const [fault, ...more] = checkPipeline(pipelineWith(field, `x ${cel(expression)}`))
      expect(fault).toMatchObject({ path, at: 6, message: expect.stringContaining(message) })
      expect(more).toEqual([])
    }
  })

  test("may read the pipeline's metadata, except there", () => {
    for (const field of ["env", "timeout", "key"]) {
      expect(checkPipeline(pipelineWith(field, cel("json(metadata)")))).toEqual([])
    }
    expect(checkPipeline(pipelineWith("metadata", cel("metadata.b")))).toMatchObject([
      {
        path: "/metadata/a",
        message: expect.stringContaining("metadata cannot read metadata: it is evaluated while"),
      },
    ])
  })
})

describe("a pipeline with many faults", () => {
  test("is told all of them, those of its graph and those that read it", () => {
    const paths = checkPipeline({
      steps: [
        { id: "a", driver: "x", needs: ["nothing", "b"], if: "steps.b.success && steps.none.success" },
        { id: "b", driver: "x", needs: ["a"] },
        { id: "a", driver: "x", with: { x: cel("1 +"), y: cel("steps.b.success") } },
        "no step",
        { driver: 5, ensure: { driver: "x", if: "evnt == ''" } },
      ],
    } as unknown as JsonObject).map(({ path }) => path)
    expect(paths.toSorted()).toEqual([
      "/steps/0/if",
      "/steps/0/if",
      "/steps/0/needs",
      "/steps/0/needs/0",
      "/steps/2/id",
      "/steps/2/with/x",
      "/steps/4/ensure/if",
    ])
  })

  test("is never a reason to throw", () => {
    const text = fc.constantFrom(
      "a",
      "b",
      "c",
      cel("steps.a.success"),
      cel("1 +"),
      "success()",
      "steps.b.success",
    )
    const needs = fc.array(
      fc.oneof(text, fc.record({ step: text, optional: fc.boolean() }), fc.jsonValue()),
      {
        maxLength: 3,
      },
    )
    const step = fc.record(
      {
        id: text,
        driver: text,
        needs,
        if: text,
        with: fc.jsonValue(),
        env: fc.dictionary(text, text),
        ensure: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    const pipeline = fc.record(
      {
        steps: fc.array(fc.oneof(step, fc.jsonValue())),
        finally: fc.array(step),
        metadata: fc.jsonValue(),
        concurrency: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(pipeline, (value) => {
        for (const { message, path } of checkPipeline(JSON.parse(JSON.stringify(value)))) {
          expect(message).not.toBe("")
          expect(path).toBeString()
        }
      }),
    )
  })

  test("of too many steps is told so once, and nothing of them", () => {
    const step = { driver: "x", if: "1 +" }
    for (const many of [
      { steps: Array.from({ length: stepsMax + 1 }, () => step) },
      { steps: Array.from({ length: stepsMax }, () => step), finally: [step] },
      { steps: Array.from({ length: stepsMax / 2 + 1 }, () => ({ ...step, ensure: step })) },
    ]) {
      expect(checkPipeline(many)).toEqual([
        { message: expect.stringContaining("Expected at most 5000 steps"), path: "/steps" },
      ])
    }
  }, 40_000)

  test("of very many steps is checked quickly, whatever they read, and told the first hundred", () => {
    const many = (later: (n: number) => string) =>
      Array.from({ length: 1_000 }, (_, n) => ({
        id: `step-${n}`,
        driver: "shell",
        with: { first: cel("steps['step-0'].success"), later: cel(`steps['step-${later(n)}'].success`) },
      }))
    const start = performance.now()
    expect(checkPipeline({ steps: many((n) => String(Math.max(n - 2, 0))) })).toHaveLength(2)
    expect(checkPipeline({ steps: many((n) => String(n + 1)) }).length).toBeLessThan(110)
    expect(checkPipeline({ steps: many((n) => `${n}x`) }).length).toBeLessThan(110)
    expect(performance.now() - start).toBeLessThan(20_000)
  }, 40_000)
})
