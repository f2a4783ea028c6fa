import { expect, test } from "bun:test"
import type { PipelineStep } from "../../src/model/pipeline.ts"
import type { Run } from "../../src/model/run.ts"
import { stepsOfRun } from "../../src/model/run-steps.ts"
import { pipelineOf } from "../rig/belt.ts"
import { shopRun } from "../rig/shop.ts"

const deferred = (id: string): PipelineStep => ({
  id,
  driver: "work",
  needs: [],
  role: { type: "deferred", of: "build", driverHash: "d" },
  timeoutMs: 1_000,
})
const run: Run = {
  ...shopRun,
  status: "running",
  startedAt: shopRun.createdAt,
  deferred: [deferred("one"), deferred("two")],
}
const first = pipelineOf({
  steps: [{ id: "build", driver: "work" }],
  finally: [{ id: "report", driver: "work" }],
})
const mended = pipelineOf({ steps: [{ id: "build", driver: "other" }] })

test("what was deferred runs behind the steps of finally, the last one first", () => {
  expect(stepsOfRun(run, first).map(({ id, needs }) => [id, needs])).toEqual([
    ["build", []],
    ["report", []],
    ["two", ["report"]],
    ["one", ["two"]],
  ])
})

test("the same records give the very same list", () => {
  expect(stepsOfRun(run, first)).toBe(stepsOfRun(run, first))
})

test("a run that goes on with another pipeline has the steps of that", () => {
  stepsOfRun(run, first)
  expect(stepsOfRun(run, mended).map(({ id, driver }) => [id, driver])).toEqual([
    ["build", "other"],
    ["two", "work"],
    ["one", "work"],
  ])
})
