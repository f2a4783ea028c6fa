import { afterAll, expect, test } from "bun:test"
import type { StepState } from "../../src/model/run.ts"
import { stepKey } from "../../src/store/keys.ts"
import { apiRig, releasePipeline, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)

let count = 0
/** A run whose first step waits to be told how its attempt ended. */
async function unresolvedRun(): Promise<{ runId: string; stepId: string }> {
  const { body } = await rig.send("POST", "/resources", {
    name: `web-${++count}`,
    resource: "app",
    pipeline: releasePipeline.name,
  })
  const stepId = (await rig.send("GET", `/runs/${body.runid}`)).body.steps[0].id
  const startedAt = "2026-01-01T00:00:00.000Z"
  const interrupted = { attempt: 1, driverHash: "d", hostId: "gone", startedAt }
  const state: StepState = {
    status: "waiting",
    waitingFor: { type: "resolution", interrupted },
    since: startedAt,
    attempt: 1,
  }
  const key = stepKey(body.runid, stepId)
  await rig.store.commit([], [{ type: "put", key, value: JSON.stringify(state) }])
  return { runId: body.runid, stepId }
}

async function stateOf(runId: string, stepId: string): Promise<StepState> {
  return JSON.parse((await rig.store.get(stepKey(runId, stepId)))?.value ?? "") as StepState
}

test("the outcome of a cut-off attempt is written down beside the question", async () => {
  const { runId, stepId } = await unresolvedRun()
  const outcome = { outcome: "succeeded", message: "paid", data: { receipt: 7 } }
  const { status, body } = await rig.send("POST", `/runs/${runId}/steps/${stepId}/resolve`, outcome)
  expect([status, body.runId]).toEqual([202, runId])
  expect(await stateOf(runId, stepId)).toMatchObject({
    status: "waiting",
    resolution: { outcome: "succeeded", result: { success: true, message: "paid", data: { receipt: 7 } } },
  })
})

test("the first word on an outcome stands", async () => {
  const { runId, stepId } = await unresolvedRun()
  await rig.send("POST", `/runs/${runId}/steps/${stepId}/resolve`, { outcome: "retry" })
  const { status, body } = await rig.send("POST", `/runs/${runId}/steps/${stepId}/resolve`, {
    outcome: "failed",
  })
  expect([status, body.detail]).toEqual([
    409,
    `The step "${stepId}" does not wait for a resolution: it is resolved already`,
  ])
  expect(await stateOf(runId, stepId)).toMatchObject({ resolution: { outcome: "retry" } })
})

test("a step that waits for no resolution is a conflict, an unknown one is not found", async () => {
  const { runId } = await unresolvedRun()
  const steps = (await rig.send("GET", `/runs/${runId}`)).body.steps
  const last = steps.at(-1).id
  expect((await rig.send("POST", `/runs/${runId}/steps/${last}/resolve`, { outcome: "retry" })).status).toBe(
    409,
  )
  expect((await rig.send("POST", `/runs/${runId}/steps/nothing/resolve`, { outcome: "retry" })).status).toBe(
    404,
  )
})

test("an outcome nobody knows is refused with its place", async () => {
  const { runId, stepId } = await unresolvedRun()
  const { status, body } = await rig.send("POST", `/runs/${runId}/steps/${stepId}/resolve`, {
    outcome: "maybe",
  })
  expect([status, body.faults[0].path]).toEqual([422, "/outcome"])
})
