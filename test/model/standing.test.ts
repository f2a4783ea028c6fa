import { describe, expect, test } from "bun:test"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import type { StepState } from "../../src/model/run.ts"
import { describeSkip, type Phase, type Standing, standingsOf } from "../../src/model/standing.ts"
import { pipelineOf } from "../rig/belt.ts"

const at = "2026-01-01T00:00:00.000Z"
const attempted = { attempt: 1, driverHash: "d", hostId: "here", startedAt: at }
const ended = (status: "succeeded" | "failed" | "cancelled"): StepState => ({
  ...attempted,
  status,
  finishedAt: at,
  result: { success: status === "succeeded", message: "" },
})
const records = {
  ok: ended("succeeded"),
  failed: ended("failed"),
  cancelled: ended("cancelled"),
  running: { status: "running", ...attempted },
  retrying: { status: "waiting", waitingFor: { type: "timer", until: at }, since: at, attempt: 1 },
  again: { status: "pending", attempt: 1 },
  queued: { status: "waiting", waitingFor: { type: "driver", driver: "x" }, since: at, attempt: 0 },
  false: { status: "skipped", attempt: 0, finishedAt: at, condition: { expression: "false", values: [] } },
} as const satisfies Record<string, StepState>
type RecordName = keyof typeof records

type StepSource = PipelineSource["steps"][number]
const step = (id: string, more: Partial<StepSource> = {}): StepSource => ({ id, driver: "work", ...more })
const line = [step("a"), step("b"), step("c")]
const fork = [
  step("a"),
  step("left", { needs: ["a"] }),
  step("right", { needs: ["a"] }),
  step("join", { needs: ["left", "right"] }),
]

interface Situation {
  readonly steps: readonly StepSource[]
  readonly finally?: readonly StepSource[]
  readonly states: Readonly<Record<string, RecordName>>
  readonly failFast?: false
  readonly phase?: Phase
}

/** Where each step stands, in one word or a few. */
function said({
  steps,
  states,
  failFast,
  phase = { type: "way" },
  ...rest
}: Situation): Record<string, string> {
  const { steps: all } = pipelineOf({
    steps: [...steps],
    ...(rest.finally === undefined ? {} : { finally: [...rest.finally] }),
  })
  const known = new Map(Object.entries(states).map(([id, name]) => [id, records[name] as StepState]))
  const { of } = standingsOf(all, known, { failFast: failFast !== false, phase })
  return Object.fromEntries([...of].map(([id, standing]) => [id, word(standing)]))
}

function word(standing: Standing): string {
  switch (standing.type) {
    case "blocked":
      return standing.by.length === 0 ? "blocked" : `blocked by ${standing.by.join(" and ")}`
    case "due":
      return "due"
    case "running":
      return standing.calledOff ? "called off" : "running"
    case "calledOff":
      return "called off"
    case "skipped":
      return `skipped: ${describeSkip(standing.because)}`
    case "ended":
      return standing.status
    default:
      return standing satisfies never
  }
}

const over: Phase = { type: "over", verdict: "cancelled" }
const cleanup: Phase = { type: "cleanup", verdict: "succeeded" }
const broken = (id: string) => `skipped: step "${id}" before it did not succeed`
const failing = (id: string) => `skipped: the run fails since step "${id}" failed`
const noNeeds = "skipped: all steps it needs were skipped"
const tooLate = "skipped: the run was over before it could start"

/** What else there is to say than the rules of `if`: those are the table in docs/pipelines.md, played by if-rules.test.ts. */
const table: readonly (readonly [string, Situation, Readonly<Record<string, string>>])[] = [
  [
    "the first step is due at once",
    { steps: line, states: {} },
    { a: "due", b: "blocked by a", c: "blocked by b" },
  ],
  [
    "a step is due when what it needs has succeeded",
    { steps: line, states: { a: "ok" } },
    { a: "succeeded", b: "due", c: "blocked by b" },
  ],
  [
    "a failure skips all that comes after it",
    { steps: line, states: { a: "failed" }, failFast: false },
    { a: "failed", b: broken("a"), c: broken("a") },
  ],
  [
    "a failure ends the other branches",
    { steps: fork, states: { a: "ok", left: "failed", right: "running" } },
    { a: "succeeded", left: "failed", right: "called off", join: broken("left") },
  ],
  [
    "without failFast the other branches go on",
    { steps: fork, states: { a: "ok", left: "failed", right: "running" }, failFast: false },
    { a: "succeeded", left: "failed", right: "running", join: "blocked by right" },
  ],
  [
    "a step behind a failed branch is skipped when the other has ended",
    { steps: fork, states: { a: "ok", left: "failed", right: "ok" }, failFast: false },
    { a: "succeeded", left: "failed", right: "succeeded", join: broken("left") },
  ],
  [
    "a step between two attempts gets no other one when the run fails",
    { steps: fork, states: { a: "ok", left: "failed", right: "retrying" } },
    { a: "succeeded", left: "failed", right: "called off", join: broken("left") },
  ],
  [
    "a step that waited for its first attempt is skipped when the run fails",
    { steps: fork, states: { a: "ok", left: "failed", right: "queued" } },
    { a: "succeeded", left: "failed", right: failing("left"), join: broken("left") },
  ],
  [
    "a step that was to be done again, and has not had its turn, is skipped as one that never ran",
    { steps: fork, states: { a: "ok", left: "failed", right: "again" } },
    { a: "succeeded", left: "failed", right: failing("left"), join: broken("left") },
  ],
  [
    "a step that needs only skipped steps is skipped, too",
    { steps: [step("a", { if: "false" }), step("b"), step("c")], states: { a: "false" } },
    { a: "skipped", b: noNeeds, c: noNeeds },
  ],
  [
    "a step that was skipped with what it needs says so also when the run has ended",
    {
      steps: [step("a", { if: "false" }), step("b"), step("c")],
      states: { a: "false" },
      phase: { type: "abandoned" },
    },
    { a: "skipped", b: noNeeds, c: noNeeds },
  ],
  [
    "what comes after a step that a cancel kept from starting was kept from it by the cancel, too",
    {
      steps: [step("a"), step("b"), step("c")],
      states: { a: "ok" },
      phase: { type: "abandoned" },
    },
    { a: "succeeded", b: tooLate, c: tooLate },
  ],
  [
    "what comes after a step that a failing run kept from starting was kept from it by the failure, too",
    {
      steps: [step("a", { needs: [] }), step("b", { needs: [] }), step("c"), step("d")],
      states: { a: "failed", b: "ok" },
    },
    { a: "failed", b: "succeeded", c: failing("a"), d: failing("a") },
  ],
  [
    "a step that handles failures is not called off by one",
    {
      steps: [step("a"), step("b", { needs: [], if: "always()" }), step("c", { needs: [] })],
      states: { a: "failed", b: "running", c: "running" },
    },
    { a: "failed", b: "running", c: "called off" },
  ],
  [
    "what a cancel ended is no reason for what comes after it: that is skipped for the cancel, before and after",
    { steps: line, states: { a: "cancelled" }, phase: { type: "over", verdict: "cancelled" } },
    { a: "cancelled", b: tooLate, c: tooLate },
  ],
  [
    "a cancelled step keeps what comes after it from starting",
    { steps: line, states: { a: "cancelled" } },
    { a: "cancelled", b: broken("a"), c: broken("a") },
  ],
  [
    "no step of the way starts once the run is over, whatever its condition",
    { steps: [step("a"), step("b", { if: "always()" })], states: { a: "running" }, phase: over },
    { a: "called off", b: tooLate },
  ],
  [
    "an ensure step is due when its step has ended, and what comes after waits for it",
    { steps: [step("a", { ensure: { driver: "tidy" } }), step("b")], states: { a: "ok" } },
    { a: "succeeded", b: "blocked by a.ensure", "a.ensure": "due" },
  ],
  [
    "ensure steps of one step follow each other, whatever becomes of them",
    {
      steps: [step("a", { ensure: [{ driver: "tidy" }, { driver: "tidy" }] })],
      states: { a: "ok", "a.ensure": "failed" },
    },
    { a: "succeeded", "a.ensure": "failed", "a.ensure-2": "due" },
  ],
  [
    "a step of finally waits until the run is at its cleanup",
    { steps: [step("a")], finally: [step("z")], states: { a: "ok" } },
    { a: "succeeded", z: "blocked" },
  ],
  [
    "steps of finally follow each other, whatever becomes of them",
    {
      steps: [step("a")],
      finally: [step("y"), step("z")],
      states: { a: "ok", y: "failed" },
      phase: cleanup,
    },
    { a: "succeeded", y: "failed", z: "due" },
  ],
  [
    "the reason why a step is skipped is the same when the run has ended",
    {
      steps: [
        step("a", { if: "false" }),
        step("b", { ensure: { driver: "tidy" } }),
        step("c", { needs: [] }),
        step("d"),
        step("e", { needs: [{ step: "d", optional: true }] }),
      ],
      finally: [step("z")],
      states: { a: "false", c: "failed", z: "ok" },
      phase: { type: "abandoned" },
    },
    {
      a: "skipped",
      b: noNeeds,
      "b.ensure": 'skipped: step "b" was not attempted in this run',
      c: "failed",
      d: broken("c"),
      e: noNeeds,
      z: "succeeded",
    },
  ],
  [
    "what comes after a step that the end of the run skipped is skipped for that end",
    { steps: line, states: {}, phase: { type: "abandoned" } },
    { a: tooLate, b: tooLate, c: tooLate },
  ],
  [
    "nothing is cleaned up where somebody wants it so",
    {
      steps: [step("a", { ensure: { driver: "tidy" } })],
      finally: [step("z")],
      states: { a: "cancelled", "a.ensure": "running" },
      phase: { type: "abandoned" },
    },
    { a: "cancelled", "a.ensure": "called off", z: tooLate },
  ],
]

describe("where a step stands", () => {
  for (const [sentence, situation, expected] of table) {
    test(sentence, () => {
      expect(said(situation)).toEqual(expected)
    })
  }
})

test("where thousands of steps stand takes no longer when each has a condition of its own", () => {
  const passMs = (conditionOf: (index: number) => string) => {
    const { steps } = pipelineOf({
      steps: Array.from({ length: 4_000 }, (_, index) =>
        step(`s${index}`, { needs: [], if: conditionOf(index) }),
      ),
    })
    const took = Array.from({ length: 20 }, () => {
      const start = performance.now()
      standingsOf(steps, new Map(), { failFast: true, phase: { type: "way" } })
      return performance.now() - start
    })
    return Math.min(...took)
  }
  expect(passMs((index) => `resource.spec.n == ${index}`)).toBeLessThan(
    5 * passMs(() => "resource.spec.n == 1"),
  )
})
