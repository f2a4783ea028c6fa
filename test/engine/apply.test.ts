import { describe, expect, test } from "bun:test"
import { commitOf } from "../../src/engine/apply.ts"
import type { Transition } from "../../src/engine/decision.ts"
import { ObservedRun } from "../../src/engine/observe.ts"
import type { Run } from "../../src/model/run.ts"
import { runKey, stepKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { pipelineOf, submit } from "../rig/belt.ts"

describe("a transition that was planned before the run ended", () => {
  const at = "2026-01-01T00:00:00.000Z"
  const transitions: readonly Transition[] = [
    {
      type: "wait",
      stepId: "build",
      state: { status: "waiting", waitingFor: { type: "driver", driver: "build" }, since: at, attempt: 0 },
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
    const run = new ObservedRun(runId, { complete: false })
    await run.read(store)
    const ended: Run = { ...(run.header as Run), status: "cancelled", message: "", finishedAt: at }
    await store.commit([], [{ type: "put", key: runKey(runId), value: JSON.stringify(ended) }])

    const { guards, writes } = commitOf(run, [transition], await store.grant(1_000))
    expect(await store.commit(guards, writes)).toBeUndefined()
    expect(await store.get(stepKey(runId, "build"))).toBeUndefined()
  })
})
