import { describe, expect, test } from "bun:test"
import { commitOf } from "../../src/engine/apply.ts"
import type { Transition } from "../../src/engine/decision.ts"
import { ObservedRun } from "../../src/engine/observe.ts"
import type { Run, StepState } from "../../src/model/run.ts"
import { hostLeaseKey, runKey, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { holdLease, pipelineOf, startEngine, stepIn, submit } from "../rig/belt.ts"
import { noKeys } from "../rig/no-keys.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"

describe("a transition that was planned before the run ended", () => {
  const at = "2026-01-01T00:00:00.000Z"
  const transitions: readonly Transition[] = [
    {
      type: "wait",
      stepId: "build",
      state: { status: "waiting", waitingFor: { type: "driver", driver: "build" }, since: at, attempt: 0 },
    },
    {
      type: "settle",
      stepId: "build",
      state: {
        status: "failed",
        attempt: 0,
        finishedAt: at,
        result: { success: false, message: "no value" },
      },
    },
    {
      type: "start",
      stepId: "build",
      state: { status: "running", attempt: 1, driverHash: "d", hostId: "h", startedAt: at },
    },
  ]

  test.each(transitions)("changes nothing: $type", async (transition) => {
    await using store = await openSqlite(":memory:")
    const runId = await submit(store, { pipeline: pipelineOf({ steps: [{ driver: "build" }] }) })
    const run = new ObservedRun(runId, { complete: false, madeAt: 1 })
    await run.read(store)
    const ended: Run = { ...(run.header as Run), status: "cancelled", message: "", finishedAt: at }
    await store.commit([], [{ type: "put", key: runKey(runId), value: JSON.stringify(ended) }])

    const { guards, writes } = commitOf(run, [transition], await holdLease(store, "h"), noKeys)
    expect(await store.commit(guards, writes)).toBeUndefined()
    expect(await store.get(stepKey(runId, "build"))).toBeUndefined()
  })
})

describe("a host whose lease has ended", () => {
  const at = "2026-01-01T00:00:00.000Z"
  const orphan: StepState = { status: "running", attempt: 1, driverHash: "d", hostId: "gone", startedAt: at }
  const cases: readonly (readonly [string, (run: Run) => Transition])[] = [
    ["header", (run) => ({ type: "header", run: { ...run, status: "running", startedAt: at } as Run })],
    [
      "header that ends the run",
      (run) => ({ type: "header", run: { ...run, status: "cancelled", message: "", finishedAt: at } as Run }),
    ],
    [
      "wait",
      () => ({
        type: "wait",
        stepId: "ship",
        state: { status: "waiting", waitingFor: { type: "driver", driver: "ship" }, since: at, attempt: 0 },
      }),
    ],
    [
      "settlement of an attempt that another host left behind",
      () => ({ type: "settle", stepId: "build", state: { ...orphan, attempt: 2 } }),
    ],
  ]

  test.each(cases)("lands no %s", async (_, transitionOf) => {
    await using store = await openSqlite(":memory:")
    const pipeline = pipelineOf({ steps: [{ driver: "build" }, { driver: "ship", needs: [] }] })
    const runId = await submit(store, { pipeline })
    await store.commit([], [{ type: "put", key: stepKey(runId, "build"), value: JSON.stringify(orphan) }])
    const run = new ObservedRun(runId, { complete: false, madeAt: 1 })
    await run.read(store)
    const transition = transitionOf(run.header as Run)

    const paused = await holdLease(store, "paused")
    await store.revoke(paused.lease)
    // It came back since, under another lease: what was decided under the first one is void all the same.
    const held = await holdLease(store, "paused")
    const before = (await store.list("")).revision
    const late = commitOf(run, [transition], paused, noKeys)
    expect(await store.commit(late.guards, late.writes)).toBeUndefined()
    expect((await store.list("")).revision).toBe(before)

    const { guards, writes } = commitOf(run, [transition], held, noKeys)
    expect(await store.commit(guards, writes)).toBe(before + 1)
  })

  test("gets a new one at the first commit that conflicts, and goes on under it", async () => {
    await using store = await openSqlite(":memory:")
    const key = hostLeaseKey("host")
    await using _engine = await startEngine(store, new ScriptedDrivers(), {
      hostId: "host",
      leaseTtlMs: 600_000,
    })
    const first = await store.get(key)
    await store.revoke({ id: first?.lease ?? "", ttlMs: 600_000 })
    const runId = await submit(store, { pipeline: pipelineOf({ steps: [{ driver: "build" }] }) })
    const waiting = await stepIn(store, runId, "build", "waiting")
    expect(waiting).toMatchObject({ waitingFor: { type: "driver", driver: "build" } })
    const second = await store.get(key)
    const written = await store.get(stepKey(runId, "build"))
    expect(written?.modRevision).toBeGreaterThan(second?.modRevision ?? Number.POSITIVE_INFINITY)
  })
})
