import { describe, expect, test } from "bun:test"
import type { PipelineStep } from "../../src/model/pipeline.ts"
import { describeWaiting, isEnded, type Run, runStatuses, type StepState } from "../../src/model/run.ts"
import { viewRun } from "../../src/model/run-view.ts"

const identity = {
  runId: "r1",
  event: "create",
  resource: { type: "app", name: "shop", version: 1 },
  createdAt: "2026-01-01T00:00:00.000Z",
} as const
const running: Run = { ...identity, status: "running", startedAt: "2026-01-01T00:00:01.000Z" }
const failed: Run = {
  ...identity,
  status: "failed",
  message: "build failed",
  startedAt: "2026-01-01T00:00:01.000Z",
  finishedAt: "2026-01-01T00:00:03.500Z",
}
const attempted = { attempt: 1, driverHash: "h", hostId: "host", startedAt: "2026-01-01T00:00:01.000Z" }
const waitingFor = (driver: string): StepState => ({
  status: "waiting",
  waitingFor: { type: "driver", driver },
  since: "2026-01-01T00:00:01.000Z",
  attempt: 0,
})

const step = (id: string, name?: string): PipelineStep => ({
  id,
  driver: "shell",
  needs: [],
  timeoutMs: 1,
  ...(name === undefined ? {} : { name }),
})
const view = (run: Run, states: Readonly<Record<string, StepState>> = {}) =>
  viewRun(run, { steps: [step("a", "The first"), step("b")] }, new Map(Object.entries(states)))

describe("a run's view", () => {
  test("shows steps without a record as pending, and as skipped once the run has ended", () => {
    expect(view(running).steps).toEqual([
      { id: "a", name: "The first", driver: "shell", needs: [], status: "pending", message: "", attempt: 0 },
      { id: "b", driver: "shell", needs: [], status: "pending", message: "", attempt: 0 },
    ])
    expect(view(failed).steps.map(({ status }) => status)).toEqual(["skipped", "skipped"])
  })

  test("shows a step that still waited for another attempt when the run ended as cancelled", () => {
    const retried = { ...waitingFor("shell"), attempt: 2 } as StepState
    expect(view(failed, { a: retried }).steps[0]).toMatchObject({
      status: "cancelled",
      attempt: 2,
    })
  })

  test("shows a step that has ended with its result and how long it took", () => {
    const result = { success: false, message: "exit 1", data: { code: 1 } }
    const state: StepState = {
      ...attempted,
      status: "failed",
      finishedAt: "2026-01-01T00:00:01.250Z",
      result,
    }
    expect(view(failed, { a: state }).steps[0]).toEqual({
      id: "a",
      name: "The first",
      driver: "shell",
      needs: [],
      ...attempted,
      status: "failed",
      message: "exit 1",
      finishedAt: "2026-01-01T00:00:01.250Z",
      durationMs: 250,
      result,
    })
  })

  test("has what the run as a whole waits for: its concurrency key, or somebody who mends it", () => {
    const concurrency = {
      key: "deploy",
      limit: 1,
      policy: "queue",
      queuedAt: "2026-01-01T00:00:00.500Z",
    } as const
    expect(view({ ...identity, status: "pending", concurrency })).toMatchObject({
      concurrency,
      message: 'waiting for the concurrency key "deploy" since 2026-01-01T00:00:00.500Z',
    })
    const since = "2026-01-01T00:00:02.000Z"
    const held = { verdict: { status: "failed", message: "no" }, since, known: [] } as const
    expect(view({ ...running, held })).toMatchObject({
      heldSince: since,
      message: `held since ${since}: no; save the mended pipeline or driver, or cancel`,
    })
    expect(view(running)).not.toHaveProperty("heldSince")
  })

  test("has the times of the run, as far as they are known", () => {
    expect(view(failed)).toMatchObject({ message: "build failed", durationMs: 2_500 })
    expect(view(running).durationMs).toBeUndefined()
    expect(view({ ...identity, status: "pending" })).not.toHaveProperty("startedAt")
    expect(view({ ...identity, status: "cancelled", message: "", finishedAt: "" })).not.toHaveProperty(
      "durationMs",
    )
  })

  test("names its pipeline and when it was asked to be cancelled, where there is such a thing", () => {
    const pipeline = { name: "release", hash: "h" }
    const asked = "2026-01-01T00:00:02.000Z"
    expect(view({ ...running, pipeline, cancelRequestedAt: asked })).toMatchObject({
      pipeline,
      cancelRequestedAt: asked,
      message: "cancelling",
    })
    expect(view(running)).not.toHaveProperty("pipeline")
  })

  test("says what the run waits for, each thing once, unless something runs", () => {
    expect(view(running, { a: waitingFor("x"), b: waitingFor("x") }).message).toBe('waiting for driver "x"')
    expect(view(running, { a: waitingFor("x"), b: waitingFor("y") }).message).toBe(
      'waiting for driver "x"; waiting for driver "y"',
    )
    expect(view(running, { a: waitingFor("x"), b: { ...attempted, status: "running" } }).message).toBe("")
  })

  test("says the verdict of a run that is stopping", () => {
    const stopping = { status: "failed", message: "a failed" } as const
    expect(view({ ...running, stopping }).message).toBe("a failed")
  })

  test("always says why nothing runs, and where to ask for more", () => {
    const more = "GET /runs/r1/explain says why"
    expect(view({ ...identity, status: "pending" }).message).toBe(`no host has started "a" yet; ${more}`)
    const result = { success: true, message: "" }
    const succeeded: StepState = { ...attempted, status: "succeeded", finishedAt: "", result }
    expect(view(running, { a: succeeded }).message).toBe(`no host has started "b" yet; ${more}`)
    expect(view(running, { a: succeeded, b: succeeded }).message).toBe(
      `no host has gone on with it yet; ${more}`,
    )
    expect(viewRun({ ...identity, status: "pending" }, undefined, new Map()).message).toBe(
      `no host has gone on with it yet; ${more}`,
    )
  })

  test("says what its cleanup waits for", () => {
    const stopping = { status: "failed", message: "a failed" } as const
    const tidy: PipelineStep = { ...step("tidy"), role: { type: "finally" } }
    const shown = (states: Record<string, StepState>) =>
      viewRun({ ...running, stopping }, { steps: [step("a"), tidy] }, new Map(Object.entries(states))).message
    const failed: StepState = {
      ...attempted,
      status: "failed",
      finishedAt: "",
      result: { success: false, message: "" },
    }
    expect(shown({ a: failed })).toBe(
      'a failed; no host has started "tidy" yet; GET /runs/r1/explain says why',
    )
    expect(shown({ a: failed, tidy: waitingFor("x") })).toBe('a failed; waiting for driver "x"')
    expect(shown({ a: failed, tidy: { ...attempted, status: "running" } })).toBe(
      'a failed; waiting for attempt 1 of "tidy" on host to end',
    )
  })
})

test("a run has ended when it succeeded, failed or was cancelled", () => {
  expect(runStatuses.filter(isEnded)).toEqual(["succeeded", "failed", "cancelled"])
})

test("a step says what it waits for", () => {
  expect(describeWaiting({ type: "driver", driver: "x" })).toBe('waiting for driver "x"')
  expect(describeWaiting({ type: "timer", until: "2026-01-01T00:00:00.000Z" })).toBe(
    "waiting until 2026-01-01T00:00:00.000Z",
  )
})
