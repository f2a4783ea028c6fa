import { expect, test } from "bun:test"
import type { Run, StepState } from "../../src/model/run.ts"
import { resourceFor, resultsBefore } from "../../src/model/run-scope.ts"
import { pipelineOf } from "../rig/belt.ts"
import { shop } from "../rig/shop.ts"

const at = "2026-01-01T00:00:00.000Z"
const done: StepState = {
  status: "succeeded",
  attempt: 1,
  driverHash: "d",
  hostId: "h",
  startedAt: at,
  finishedAt: at,
  result: { success: true, message: "built" },
}

test("a step that has not run has no result, whatever its name", () => {
  const pipeline = pipelineOf({
    steps: [
      { id: "build", driver: "shell" },
      { id: "constructor", driver: "http" },
    ],
  })
  const content = {
    run: { runId: "r", createdAt: at, event: "create" } as Run,
    pipeline,
    steps: pipeline.steps,
    states: new Map([["build", done]]),
    resource: shop,
    env: {},
    dataAt: () => undefined,
  }
  const [, last] = pipeline.steps
  if (last === undefined) throw new Error("The pipeline must have two steps")
  const { metadata } = resourceFor(content, resultsBefore(last, content))
  expect(metadata["driverresults"]).toEqual({ shell: { success: true, message: "built" } })
})
