import { describe, expect, test } from "bun:test"
import { keptSteps, type RerunPart } from "../../src/model/rerun.ts"
import type { StepState } from "../../src/model/run.ts"
import { pipelineOf } from "../rig/belt.ts"

const at = "2026-01-01T00:00:00.000Z"
const ended = (status: "succeeded" | "failed"): StepState => ({
  status,
  attempt: 1,
  driverHash: "d",
  hostId: "here",
  startedAt: at,
  finishedAt: at,
  result: { success: status === "succeeded", message: "" },
})

const { steps } = pipelineOf({
  steps: [
    { id: "clone", driver: "w", ensure: { driver: "w" } },
    { id: "lint", driver: "w", needs: ["clone"] },
    { id: "test", driver: "w", needs: ["clone"] },
    { id: "ship", driver: "w", needs: ["lint", "test"] },
    { id: "alert", driver: "w", needs: ["test"], if: "failure()" },
  ],
  finally: [{ id: "tidy", driver: "w" }],
})

const kept = (
  part: RerunPart,
  states: Readonly<Record<string, "succeeded" | "failed">>,
): readonly string[] => {
  const known = new Map(Object.entries(states).map(([id, status]) => [id, ended(status)]))
  return [...keptSteps(part, steps, { runId: "before", states: known }).keys()]
}
const all = {
  clone: "succeeded",
  "clone.ensure": "succeeded",
  lint: "succeeded",
  test: "failed",
  alert: "succeeded",
  tidy: "succeeded",
} as const

describe("a rerun", () => {
  test("of the whole keeps nothing", () => {
    expect(kept({ type: "whole" }, all)).toEqual([])
  })

  test("of what failed keeps what succeeded, but for what came after a failure and for cleanup", () => {
    expect(kept({ type: "failed" }, all)).toEqual(["clone", "lint"])
  })

  test("from a step keeps what that does not come before", () => {
    expect(kept({ type: "from", stepId: "lint" }, { ...all, test: "succeeded", ship: "succeeded" })).toEqual([
      "clone",
      "test",
      "alert",
    ])
  })

  test("from the first step keeps nothing", () => {
    expect(kept({ type: "from", stepId: "clone" }, all)).toEqual([])
  })

  test("says whose results it keeps, also when that run had kept them itself", () => {
    const states = new Map([
      ["clone", { ...ended("succeeded"), keptFrom: "long-ago" } as StepState],
      ["lint", ended("succeeded")],
    ])
    const found = keptSteps({ type: "failed" }, steps, { runId: "before", states })
    expect([...found.values()].map((state) => "keptFrom" in state && state.keptFrom)).toEqual([
      "long-ago",
      "before",
    ])
  })
})
