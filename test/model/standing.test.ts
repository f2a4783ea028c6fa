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
  kept: {
    ...attempted,
    status: "succeeded",
    finishedAt: at,
    result: { success: true, message: "" },
    keptFrom: "earlier",
  },
  again: { status: "pending", attempt: 1 },
  queued: { status: "waiting", waitingFor: { type: "driver", driver: "x" }, since: at, attempt: 0 },
  false: { status: "skipped", attempt: 0, finishedAt: at, condition: { expression: "false", values: [] } },
  neverStarted: { status: "failed", attempt: 0, finishedAt: at, result: { success: false, message: "" } },
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
    case "due": {
      const { success, failure } = standing.upstream
      if (success && failure) return "due beside a failure"
      return success ? "due" : failure ? "due after a failure" : "due after a cancel"
    }
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
const cleanup = (verdict: "succeeded" | "failed" | "cancelled"): Phase => ({ type: "cleanup", verdict })
const broken = (id: string) => `skipped: step "${id}" before it did not succeed`
const failing = (id: string) => `skipped: the run fails since step "${id}" failed`
const noNeeds = "skipped: all steps it needs were skipped"
const tooLate = "skipped: the run was over before it could start"

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
    "an optional need is waited for, whatever becomes of it",
    {
      steps: [
        step("a"),
        step("b", { needs: [] }),
        step("c", { needs: ["b", { step: "a", optional: true }] }),
      ],
      states: { a: "failed", b: "ok" },
      failFast: false,
    },
    { a: "failed", b: "succeeded", c: "due beside a failure" },
  ],
  [
    "a failure that may be is none for what comes after",
    { steps: [step("a", { continueOnError: true }), step("b")], states: { a: "failed" } },
    { a: "failed", b: "due" },
  ],
  [
    "a step that needs only skipped steps is skipped, too",
    { steps: [step("a", { if: "false" }), step("b"), step("c")], states: { a: "false" } },
    { a: "skipped", b: noNeeds, c: noNeeds },
  ],
  [
    "a step that needs a skipped step and another one starts",
    {
      steps: [step("a", { if: "false" }), step("b", { needs: [] }), step("c", { needs: ["a", "b"] })],
      states: { a: "false", b: "ok" },
    },
    { a: "skipped", b: "succeeded", c: "due" },
  ],
  [
    "a condition of its own says otherwise",
    { steps: [step("a", { if: "false" }), step("b", { if: "event == 'create'" })], states: { a: "false" } },
    { a: "skipped", b: "due" },
  ],
  [
    "a condition without a status function means success, too",
    { steps: [step("a"), step("b", { if: "true" })], states: { a: "failed" }, failFast: false },
    { a: "failed", b: broken("a") },
  ],
  [
    "a condition on failure is asked after one, near or far",
    { steps: [step("a"), step("b"), step("c", { if: "failure()" })], states: { a: "failed" } },
    { a: "failed", b: broken("a"), c: "due after a failure" },
  ],
  [
    "a condition with a status function is asked when nothing failed, too",
    { steps: [step("a"), step("b", { if: "failure()" })], states: { a: "ok" } },
    { a: "succeeded", b: "due" },
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
    "what comes after a handler still comes after the failure",
    {
      steps: [step("a"), step("b", { if: "failure()" }), step("c")],
      states: { a: "failed", b: "ok" },
      failFast: false,
    },
    { a: "failed", b: "succeeded", c: broken("a") },
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
    "an ensure step is due after a failure, and is told of it",
    { steps: [step("a", { ensure: { driver: "tidy" } })], states: { a: "failed" } },
    { a: "failed", "a.ensure": "due after a failure" },
  ],
  [
    "an ensure step is due after a cancel, also when the run is over",
    { steps: [step("a", { ensure: { driver: "tidy" } })], states: { a: "cancelled" }, phase: over },
    { a: "cancelled", "a.ensure": "due after a cancel" },
  ],
  [
    "an ensure step of a step that never started is skipped",
    { steps: [step("a", { ensure: { driver: "tidy" } })], states: { a: "neverStarted" } },
    { a: "failed", "a.ensure": 'skipped: step "a" was not attempted in this run' },
  ],
  [
    "an ensure step of a step that an earlier run attempted is skipped in this one",
    { steps: [step("a", { ensure: { driver: "tidy" } }), step("b")], states: { a: "kept" } },
    { a: "succeeded", b: "due", "a.ensure": 'skipped: step "a" was not attempted in this run' },
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
    "a step of finally is due at the cleanup, and is told how the run went",
    { steps: [step("a")], finally: [step("z")], states: { a: "failed" }, phase: cleanup("failed") },
    { a: "failed", z: "due after a failure" },
  ],
  [
    "a step of finally is told of a cancel as neither success nor failure",
    { steps: [step("a")], finally: [step("z")], states: { a: "ok" }, phase: cleanup("cancelled") },
    { a: "succeeded", z: "due after a cancel" },
  ],
  [
    "steps of finally follow each other, whatever becomes of them",
    {
      steps: [step("a")],
      finally: [step("y"), step("z")],
      states: { a: "ok", y: "failed" },
      phase: cleanup("succeeded"),
    },
    { a: "succeeded", y: "failed", z: "due" },
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
