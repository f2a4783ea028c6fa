import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { Attempt } from "../../src/drivers/driver-host.ts"
import { dryRun } from "../../src/explain/dry-run.ts"
import type { AttemptResult } from "../../src/model/driver.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { ended, pipelineOf, startEngine, submit } from "../rig/belt.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { shop } from "../rig/shop.ts"

/*
 * A plan is worth what the engine does: random pipelines, with random steps that fail, are planned and then really run, and
 * both must agree on which steps run and what they are given, which are skipped and why, and on how the run ends.
 */

const spec = { to: "prod", n: 3 }
const condition = fc.constantFrom(
  undefined,
  undefined,
  undefined,
  'resource.spec.to == "prod"',
  'resource.spec.to == "dev"',
  "resource.spec.missing",
  "always()",
  "failure()",
  "success() && resource.spec.n == 3",
  'event == "create" && run.pipeline == "release"',
)
const status = fc.constantFrom("succeeded", "failed", "skipped")

interface Case {
  readonly pipeline: Pipeline
  readonly fails: ReadonlySet<string>
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    steps: fc.array(
      fc.record({
        if: condition,
        asks: fc.option(fc.record({ of: fc.nat(4), status }), { freq: 4, nil: undefined }),
        needs: fc.uniqueArray(fc.nat(4), { maxLength: 2 }),
        optional: fc.boolean(),
        ensure: fc.option(condition, { freq: 3, nil: null }),
        continueOnError: fc.boolean(),
        fails: fc.boolean(),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    last: fc.array(condition, { maxLength: 2 }),
    lastFails: fc.boolean(),
    /** Branches that go on have one outcome, whichever is faster; in a line a failure may end the run at once. */
    isLine: fc.boolean(),
    failFast: fc.boolean(),
  })
  .map(({ steps, last, lastFails, isLine, failFast }) => {
    const pipeline = pipelineOf({
      failFast: isLine && failFast,
      metadata: { to: `\${{ resource.spec.to }}-\${{ resource.spec.n }}` },
      env: { TO: `to \${{ metadata.to }}` },
      ...(last.length === 0
        ? {}
        : {
            finally: last.map((each, n) => ({
              id: `z${n}`,
              driver: "work",
              ...ifOf(each),
              ...withStatusOf(steps.map((_, index) => `s${index}`)),
            })),
          }),
      steps: steps.map((step, index): PipelineSource["steps"][number] => {
        const needs = isLine ? [index - 1] : step.needs
        const near = needs.filter((need) => need >= 0 && need < index)
        const asks = step.asks !== undefined && near.includes(step.asks.of) ? step.asks : undefined
        return {
          id: `s${index}`,
          driver: "work",
          ...ifOf(asks === undefined ? step.if : `steps.s${asks.of}.status == "${asks.status}"`),
          ...withStatusOf(near.map((need) => `s${need}`)),
          ...(step.ensure === null ? {} : { ensure: { driver: "work", ...ifOf(step.ensure) } }),
          ...(step.continueOnError ? { continueOnError: true } : {}),
          needs: near.map((need) => ({ step: `s${need}`, optional: step.optional })),
        }
      }),
    })
    const fails = steps.flatMap((step, index) => (step.fails ? [`s${index}`] : []))
    return { pipeline, fails: new Set(lastFails ? [...fails, "z0"] : fails) }
  })

/** Reads what is known in a plan too: how the steps before ended, and what the pipeline, the resource and the event say. */
function withStatusOf(ids: readonly string[]): Pick<PipelineSource["steps"][number], "with"> {
  const about = `\${{ metadata.to }} \${{ env.TO }} \${{ resource.metadata.to }} \${{ event }} \${{ run.pipeline }}`
  return { with: { about, ...Object.fromEntries(ids.map((id) => [id, `\${{ steps.${id}.status }}`])) } }
}

function ifOf(condition: string | undefined): { readonly if?: string } {
  return condition === undefined ? {} : { if: condition }
}

/** What is planned, step by step. */
function planned({ pipeline, fails }: Case) {
  const { waves, skipped, verdict } = dryRun({
    pipeline,
    resource: { ...shop, spec },
    event: "create",
    env: {},
    fails,
    madeUp: new Set(["id", "name", "version"]),
  })
  const planned = waves.flatMap(({ steps }) => steps)
  const steps = new Map([
    ...planned.map(({ id, outcome }) => [id, outcome === "fails" ? "failed" : "succeeded"] as const),
    ...skipped.map(
      ({ id, because, message }) =>
        // A run says of a false condition what it was, too.
        [
          id,
          because.type === "condition" ? "skipped: its condition is false" : `skipped: ${message}`,
        ] as const,
    ),
  ])
  const given = planned.flatMap(({ id, condition, with: input = {} }) =>
    condition?.outcome === "error" ? [] : [[id, input] as const],
  )
  return {
    verdict,
    steps: pipeline.steps.map(({ id }) => [id, steps.get(id)]),
    given: Object.fromEntries(given),
  }
}

/** Drivers that know at once how a step ends. */
class DecidedDrivers extends ScriptedDrivers {
  readonly given: Record<string, Attempt["input"]> = {}
  readonly #fails: ReadonlySet<string>

  constructor(fails: ReadonlySet<string>) {
    super("work")
    this.#fails = fails
  }

  override async run({ stepId, input }: Attempt): Promise<AttemptResult> {
    this.given[stepId] = input
    return { success: !this.#fails.has(stepId), message: "" }
  }
}

/** What comes of it on a real engine and a real store. */
async function run({ pipeline, fails }: Case) {
  await using store = await openSqlite(":memory:")
  const drivers = new DecidedDrivers(fails)
  await using _engine = await startEngine(store, drivers)
  const { status, message, steps } = await ended(store, await submit(store, { pipeline, spec }))
  return {
    verdict: { status, message },
    steps: steps.map(({ id, status, message }) => [
      id,
      status === "skipped" ? `skipped: ${message.replace(/^(its condition is false): .*/, "$1")}` : status,
    ]),
    given: drivers.given,
  }
}

describe("a plan and a run", () => {
  test("agree on what runs and what it is given, what is skipped and why, and how it ends", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        expect(planned(given)).toEqual((await run(given)) as ReturnType<typeof planned>)
      }),
      { numRuns: 150 },
    )
  }, 60_000)
})
