import { describe, expect, test } from "bun:test"
import { dryRun } from "../../src/explain/dry-run.ts"
import type { DryRun, PlannedStep } from "../../src/explain/planned-run.ts"
import type { Json, JsonObject } from "../../src/model/json.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { pipelineOf } from "../rig/belt.ts"
import { shop } from "../rig/shop.ts"

type StepSource = PipelineSource["steps"][number]
const step = (id: string, more: Partial<StepSource> = {}): StepSource => ({ id, driver: "work", ...more })
const cel = (expression: string) => `\${{ ${expression} }}`
const ofStore = ["id", "version", "createdAt", "updatedAt"]

interface Situation {
  readonly pipeline: Omit<PipelineSource, "name" | "resource">
  /** Absent: there is no resource. */
  readonly spec?: JsonObject
  readonly fails?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

function planned({ pipeline, spec, fails = [], env = {} }: Situation): DryRun {
  return dryRun({
    pipeline: pipelineOf(pipeline),
    resource: { ...shop, spec: spec ?? {} },
    event: "create",
    env,
    fails: new Set(fails),
    madeUp: new Set(spec === undefined ? [...ofStore, "name", "metadata", "spec"] : ofStore),
  })
}

/** The waves in a line: `a · b c | z`, with what cleans up behind the bar. */
function order({ waves }: DryRun): string {
  const part = (wanted: string) =>
    waves
      .filter((wave) => wave.part === wanted)
      .map(({ steps }) => steps.map(({ id }) => id).join(" "))
      .join(" · ")
  const cleanup = part("cleanup")
  return cleanup === "" ? part("way") : `${part("way")} | ${cleanup}`
}

function of(id: string, plan: DryRun): PlannedStep {
  const found = plan.waves.flatMap(({ steps }) => steps).find((each) => each.id === id)
  if (found === undefined) throw new Error(`${id} does not run: ${order(plan)}`)
  return found
}

const fork = [
  step("clone"),
  step("lint", { needs: ["clone"] }),
  step("test", { needs: ["clone"] }),
  step("ship", { needs: ["lint", "test"] }),
]
const gate = { if: 'resource.spec.to == "prod" && steps.build.data.ok', needs: ["build"] }

describe("the order of a plan", () => {
  const orders: readonly (readonly [sentence: string, situation: Situation, order: string])[] = [
    ["is that of a sequence", { pipeline: { steps: [step("a"), step("b")] } }, "a · b"],
    ["goes side by side where a graph allows it", { pipeline: { steps: fork } }, "clone · lint test · ship"],
    [
      "ends with what cleans up, one after the other",
      { pipeline: { steps: [step("a")], finally: [step("y"), step("z")] } },
      "a | y · z",
    ],
    [
      "has what ensures a step before what needs the step",
      { pipeline: { steps: [step("a", { ensure: { driver: "work" } }), step("b")] } },
      "a · a.ensure · b",
    ],
    [
      "ends where a step fails, but for what handles that",
      {
        pipeline: {
          steps: [step("a"), step("b"), step("undo", { if: "failure()" })],
          finally: [step("z")],
        },
        fails: ["a"],
      },
      "a · undo | z",
    ],
    [
      "goes on behind a step that may fail",
      { pipeline: { steps: [step("a", { continueOnError: true }), step("b")] }, fails: ["a"] },
      "a · b",
    ],
    [
      "has what a skipped step is before, and not what needs only that",
      {
        pipeline: { steps: [step("a"), step("b", { if: "false" }), step("c"), step("d", { needs: ["a"] })] },
      },
      "a · d",
    ],
  ]
  test.each(orders)("%s", (_, situation, expected) => {
    expect(order(planned(situation))).toBe(expected)
  })

  test("names what a failure cancels beside it", () => {
    const { waves, verdict, skipped } = planned({ pipeline: { steps: fork }, fails: ["lint"] })
    expect(waves[1]).toMatchObject({ endedBy: ["lint"] })
    expect(skipped.map(({ id, message }) => [id, message])).toEqual([
      ["ship", 'step "lint" before it did not succeed'],
    ])
    expect(verdict).toEqual({ status: "failed", message: 'step "lint" failed' })
    const patient = planned({ pipeline: { steps: fork, failFast: false }, fails: ["lint"] })
    expect(patient.waves[1]?.endedBy).toBeUndefined()
  })
})

describe("a condition in a plan", () => {
  const steps = [
    step("build"),
    step("ship", gate),
    step("tell"),
    step("else", { if: 'steps.ship.status == "skipped"' }),
  ]

  test("is open until what it reads is there, and what follows if it is false is told", () => {
    const plan = planned({ pipeline: { steps }, spec: { to: "prod" } })
    expect(of("ship", plan)).toMatchObject({
      condition: {
        outcome: "open",
        implied: true,
        values: [
          { expression: "resource.spec.to", value: "prod" },
          { expression: "steps.build.data.ok", until: '"build" has ended' },
        ],
      },
      otherwise: { skipped: ["tell"], runs: ["else"] },
    })
    expect(plan.skipped).toMatchObject([{ id: "else", condition: { outcome: "false" } }])
  })

  test("is false where one part decides it, whatever the rest will be", () => {
    const plan = planned({ pipeline: { steps }, spec: { to: "dev" } })
    expect(plan.skipped).toMatchObject([
      { id: "ship", condition: { outcome: "false", falseParts: ['resource.spec.to == "prod"'] } },
      { id: "tell", because: { type: "needs" } },
    ])
    expect(order(plan)).toBe("build · else")
    expect(plan.verdict.status).toBe("succeeded")
  })

  test("is open without a resource", () => {
    const plan = planned({ pipeline: { steps } })
    expect(of("ship", plan).condition?.values[0]).toEqual({
      expression: "resource.spec.to",
      until: "there is a resource",
    })
  })

  test("without a value fails its step, as it would fail in a run", () => {
    const plan = planned({ pipeline: { steps: [step("ship", { if: "resource.spec.to" })] }, spec: {} })
    const failure = 'The expression "resource.spec.to" has no value: No such key: to'
    expect(of("ship", plan)).toMatchObject({ outcome: "fails", failure })
    expect(plan.verdict).toEqual({ status: "failed", message: `step "ship" failed: ${failure}` })
  })

  test("without a value in one part is open as long as another part may decide it", () => {
    expect(of("ship", planned({ pipeline: { steps }, spec: {} })).condition?.outcome).toBe("open")
  })

  test("that opens another way says which", () => {
    const either = [
      step("build"),
      step("ship", { if: "steps.build.data.ok" }),
      step("hold", { if: "failure() || steps.ship.status == 'skipped'" }),
    ]
    expect(of("ship", planned({ pipeline: { steps: either } })).otherwise).toEqual({
      skipped: [],
      runs: ["hold"],
    })
  })
})

describe("values in a plan", () => {
  const given = (input: Json, situation: Partial<Situation> = {}) =>
    of(
      "b",
      planned({
        ...situation,
        pipeline: { ...situation.pipeline, steps: [step("a"), step("b", { with: { input } })] },
      }),
    )

  test("are evaluated as far as they are known", () => {
    expect(
      given([cel("resource.spec.n + 1"), `${cel("event")} of ${cel("resource.spec.n")}`], { spec: { n: 1 } })
        .with,
    ).toEqual({
      input: [2, "create of 1"],
    })
    expect(given(`${cel("resource.spec.n")} and ${cel("results.a.data")}`, { spec: { n: 1 } }).with).toEqual({
      input: `1 and ${cel("results.a.data")}`,
    })
    expect(given(cel("run.id")).with).toEqual({ input: cel("run.id") })
  })

  test("fail the step where they are known not to be there, with the words of a run", () => {
    expect(given({ deep: cel("resource.spec.n") }, { spec: {} }).failure).toBe(
      'The expression "resource.spec.n" has no value: No such key: n, in /input/deep of the input',
    )
  })

  test("of the host are used and not shown", () => {
    const env = { TOKEN: "secret", STAGE: "prod" }
    const plan = planned({
      env,
      spec: {},
      pipeline: {
        env: { PLAIN: "x", MINE: cel("env.TOKEN") },
        steps: [
          step("a", { if: 'env.STAGE == "prod" && env.MINE.startsWith("sec")' }),
          step("b", { with: { one: cel("env.TOKEN"), two: cel("env.MINE"), three: cel("env.PLAIN") } }),
        ],
      },
    })
    expect(of("a", plan).condition?.outcome).toBe("true")
    expect(of("b", plan).with).toEqual({ one: cel("env.TOKEN"), two: cel("env.MINE"), three: "x" })
    expect(plan.env).toEqual({ PLAIN: "x", MINE: cel("env.TOKEN") })
    expect(JSON.stringify(plan)).not.toContain("secret")
  })

  test("of the pipeline are as open as what they read", () => {
    const pipeline = {
      metadata: { image: cel("resource.spec.image"), fixed: 1 },
      concurrency: { key: `deploy-${cel("metadata.image")}` },
      timeout: cel("resource.spec.limit"),
      steps: [step("a", { if: 'metadata.image == "x" && metadata.fixed == 1' })],
    }
    const open = planned({ pipeline })
    expect(open).toMatchObject({
      concurrency: { key: `deploy-${cel("metadata.image")}` },
      timeout: cel("resource.spec.limit"),
    })
    expect(of("a", open).condition?.outcome).toBe("open")
    const known = planned({ pipeline, spec: { image: "x", limit: "5m" } })
    expect(known).toMatchObject({
      metadata: { image: "x" },
      concurrency: { key: "deploy-x" },
      timeout: 300_000,
    })
    expect(of("a", known).condition?.outcome).toBe("true")
    expect(planned({ pipeline, spec: { image: "x", limit: "soon" } })).toMatchObject({
      waves: [],
      verdict: {
        status: "failed",
        message: expect.stringContaining('as the pipeline\'s timeout, found "soon"'),
      },
    })
  })
})
