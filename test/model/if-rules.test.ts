import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { ExpressionError, evaluateCondition } from "../../src/model/expression.ts"
import type { PipelineStep } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import type { Run, StepState } from "../../src/model/run.ts"
import { stepScope } from "../../src/model/run-scope.ts"
import { describeSkip, type Phase, standingsOf } from "../../src/model/standing.ts"
import { pipelineOf } from "../rig/belt.ts"
import { tableAfter } from "../rig/markdown.ts"
import { shop, shopRun } from "../rig/shop.ts"

/*
 * The rules of `if` stand in one place: the table in docs/pipelines.md. Each of its rows is played here, by the words in
 * its first cell. What else there is to say of where steps stand is in standing.test.ts.
 */

type Source = PipelineSource["steps"][number]
type Ended = "succeeded" | "failed" | "cancelled" | "skipped" | "never started" | "succeeded before"

/** What came before the step `it`, whose `if` the row says. */
interface Before {
  readonly steps?: Source[]
  readonly ended?: Readonly<Record<string, Ended>>
  /** What `it` says besides its `if`. */
  readonly it?: Partial<Source>
  /** Where `it` stands; else it is the last of the steps. */
  readonly in?: "ensure" | "finally"
  readonly failFast?: false
  readonly phase?: Phase
}

const a: Source = { id: "a", driver: "work", needs: [] }
const b: Source = { id: "b", driver: "work" }
const over: Phase = { type: "over", verdict: "cancelled" }
const behind = (ended: Ended): Before => ({ steps: [a], ended: { a: ended } })
const behindTwo = (ended: Ended): Before => ({
  steps: [a, { ...b, needs: [] }],
  ended: { a: ended, b: "succeeded" },
  it: { needs: ["a", "b"] },
})
const otherBranch: Before = { ...behind("failed"), it: { needs: [] } }
const inEnsure = (ended: Ended): Before => ({ ...behind(ended), in: "ensure" })
const inFinally = (verdict: "succeeded" | "failed" | "cancelled"): Before => ({
  ...behind(verdict),
  in: "finally",
  phase: { type: "cleanup", verdict },
})

const situations: Readonly<Record<string, Before>> = {
  nothing: {},
  "the step it needs succeeded": behind("succeeded"),
  "the step it needs failed": behind("failed"),
  "the step it needs failed, with `continueOnError`": {
    steps: [{ ...a, continueOnError: true }],
    ended: { a: "failed" },
  },
  "a step further up failed, and the one it needs was skipped": {
    steps: [a, b],
    ended: { a: "failed" },
  },
  "a step further up failed, and the one it needs, which handled that, succeeded": {
    steps: [a, { ...b, if: "failure()" }],
    ended: { a: "failed", b: "succeeded" },
  },
  "the step it needs was skipped": { steps: [{ ...a, if: "false" }], ended: { a: "skipped" } },
  "of two steps it needs, one was skipped": behindTwo("skipped"),
  "of two steps it needs, one failed": behindTwo("failed"),
  "its optional need failed, without `failFast`": {
    ...behind("failed"),
    it: { needs: [{ step: "a", optional: true }] },
    failFast: false,
  },
  "the step it needs was cancelled, as the run fails": {
    steps: [a, { ...b, needs: [] }],
    ended: { a: "cancelled", b: "failed" },
    it: { needs: ["a"] },
  },
  "a step of another branch failed": otherBranch,
  "a step of another branch failed, without `failFast`": { ...otherBranch, failFast: false },
  "the run was cancelled": { ...behind("succeeded"), phase: over },
  "the time of the run is over": { ...behind("succeeded"), phase: { type: "over", verdict: "failed" } },
  "in `ensure`: its step succeeded": inEnsure("succeeded"),
  "in `ensure`: its step failed": inEnsure("failed"),
  "in `ensure`: its step was cancelled": { ...inEnsure("cancelled"), phase: over },
  "in `ensure`: its step never started": inEnsure("never started"),
  "in `ensure`: its step succeeded in the run that this one does again": inEnsure("succeeded before"),
  "in `finally`: the run succeeded": inFinally("succeeded"),
  "in `finally`: the run succeeded, but for an `ensure` step": {
    ...inFinally("succeeded"),
    steps: [{ ...a, ensure: { driver: "work" } }],
    ended: { a: "succeeded", "a.ensure": "failed" },
  },
  "in `finally`: the run failed": inFinally("failed"),
  "in `finally`: the run was cancelled": inFinally("cancelled"),
}

const at = "2026-01-01T00:00:00.000Z"
const attempted = { attempt: 1, driverHash: "d", hostId: "here", startedAt: at, finishedAt: at }
const run: Run = { ...shopRun, status: "running", startedAt: at }

function stateOf(how: Ended): StepState {
  const result = { success: how.startsWith("succeeded"), message: "" }
  switch (how) {
    case "succeeded":
    case "failed":
    case "cancelled":
      return { ...attempted, status: how, result }
    case "succeeded before":
      return { ...attempted, status: "succeeded", result, keptFrom: "r0" }
    case "skipped":
      return { status: how, attempt: 0, finishedAt: at, condition: { expression: "false", values: [] } }
    case "never started":
      return { status: "failed", attempt: 0, finishedAt: at, result }
    default:
      return how satisfies never
  }
}

function stepsOf({ steps = [], in: place }: Before, it: Source): readonly PipelineStep[] {
  switch (place) {
    case "ensure":
      return pipelineOf({ steps: steps.map((step) => ({ ...step, ensure: it })) }).steps
    case "finally":
      return pipelineOf({ steps, finally: [it] }).steps
    case undefined:
      return pipelineOf({ steps: [...steps, it] }).steps
    default:
      return place satisfies never
  }
}

/** What becomes of `it`, in the words of the table: where it stands, and once it is its turn, what its `if` says. */
function outcome(before: Before, condition: string | undefined): string {
  const { ended = {}, failFast, phase = { type: "way" } } = before
  const own = condition === undefined ? {} : { if: condition }
  const steps = stepsOf(before, { id: "it", driver: "work", ...before.it, ...own })
  const states = new Map(Object.entries(ended).map(([id, how]) => [id, stateOf(how)]))
  const standings = standingsOf(steps, states, { failFast: failFast !== false, phase })
  const standing = standings.of.get("it")
  const it = steps.find(({ id }) => id === "it")
  if (standing?.type === "skipped") return `skipped: ${describeSkip(standing.because)}`
  if (standing?.type !== "due" || it === undefined) throw new Error(`"it" is ${standing?.type}`)
  if (it.if === undefined) return "starts"
  const content = {
    run,
    pipeline: undefined,
    steps,
    states,
    resource: shop,
    env: {},
    dataAt: () => undefined,
  }
  try {
    const scope = stepScope(content, it, { standings, status: standing.upstream })
    return evaluateCondition(it.if, scope) ? "starts" : "skipped: its condition is false"
  } catch (error) {
    if (error instanceof ExpressionError) return "fails"
    throw error
  }
}

const markdown = await Bun.file(join(import.meta.dir, "../../docs/pipelines.md")).text()
const rows = tableAfter(markdown, "<!-- the rules of if -->")

describe("the table of the rules of `if`", () => {
  test("has a row for everything that can come before a step", () => {
    expect([...new Set(rows.map(([before]) => before))].sort()).toEqual(Object.keys(situations).sort())
  })

  for (const [before = "", condition = "", becomes] of rows) {
    test(`is right about ${condition === "" ? "no condition" : condition} when ${before}`, () => {
      const situation = situations[before] ?? {}
      expect(outcome(situation, condition === "" ? undefined : condition.slice(1, -1))).toBe(becomes ?? "")
    })
  }
})
