import { describe, expect, test } from "bun:test"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { prefixes } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { cancelRun, ended, pipelineOf, startEngine, submit, view } from "../rig/belt.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { until } from "../rig/until.ts"

const cel = (expression: string) => `\${{ ${expression} }}`
const deploying = (more: Partial<NonNullable<PipelineSource["concurrency"]>> = {}, priority = 0): Pipeline =>
  pipelineOf({
    concurrency: { key: `deploy-${cel("resource.spec.to")}`, ...more },
    priority,
    steps: [{ id: "deploy", driver: "work" }],
  })
const spec = { to: "production" }

describe("runs with one concurrency key", () => {
  test("go one after the other, the most important first, and say what they wait for", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _here = await startEngine(store, drivers)
    await using _there = await startEngine(store, drivers)
    const first = await submit(store, { pipeline: deploying(), spec })
    const holding = await drivers.nextAttempt()
    const second = await submit(store, { pipeline: deploying(), spec })
    const waits = async (runId: string) =>
      (await view(store, runId)).message.startsWith("waiting for the concurrency key")
    await until("the second waits", () => waits(second))
    expect((await view(store, second)).message).toContain('"deploy-production"')
    const urgent = await submit(store, { pipeline: deploying({}, 10), spec })
    await until("the urgent one waits", () => waits(urgent))
    const elsewhere = await submit(store, { pipeline: deploying(), spec: { to: "staging" } })
    expect((await drivers.nextAttempt()).attempt.runId).toBe(elsewhere)
    holding.succeed()
    expect((await ended(store, first)).status).toBe("succeeded")
    const next = await drivers.nextAttempt()
    expect(next.attempt.runId).toBe(urgent)
    expect(drivers.untaken).toBe(0)
    next.fail("no")
    const last = await drivers.nextAttempt()
    expect(last.attempt.runId).toBe(second)
    last.succeed()
    expect((await ended(store, second)).status).toBe("succeeded")
  })

  test("take the place of the one before where they replace it", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = deploying({ policy: "replace" })
    const first = await submit(store, { pipeline, spec })
    await drivers.nextAttempt()
    const second = await submit(store, { pipeline, spec })
    expect(await ended(store, first)).toMatchObject({
      status: "cancelled",
      message: `cancelled: replaced by run ${second}`,
    })
    const next = await drivers.nextAttempt()
    expect(next.attempt.runId).toBe(second)
    next.succeed()
    expect((await ended(store, second)).status).toBe("succeeded")
    expect((await store.list(prefixes.concurrency)).entries).toEqual([])
  })

  test("end at once where they may not wait", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = deploying({ policy: "reject" })
    const first = await submit(store, { pipeline, spec })
    const holding = await drivers.nextAttempt()
    const second = await ended(store, await submit(store, { pipeline, spec }))
    expect(second.status).toBe("cancelled")
    expect(second.message).toStartWith(`rejected: the key "deploy-production" is held by run ${first} since`)
    holding.succeed()
    await ended(store, first)
  })

  test("can be cancelled while they wait, at once", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    await submit(store, { pipeline: deploying(), spec })
    const holding = await drivers.nextAttempt()
    const second = await submit(store, { pipeline: deploying(), spec })
    await until("it waits", async () => (await view(store, second)).message.includes("concurrency key"))
    await cancelRun(store, second)
    expect((await ended(store, second)).status).toBe("cancelled")
    const { entries } = await store.list(prefixes.concurrency)
    expect(JSON.parse(entries[0]?.value ?? "")).toMatchObject({ queue: [] })
    holding.succeed()
  })

  test("keep their places when their host is gone", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    const gone = await startEngine(store, drivers)
    const first = await submit(store, { pipeline: deploying(), spec })
    await drivers.nextAttempt()
    const second = await submit(store, { pipeline: deploying(), spec })
    await until("it waits", async () => (await view(store, second)).message.includes("concurrency key"))
    await gone[Symbol.asyncDispose]()
    await using _engine = await startEngine(store, drivers)
    const again = await drivers.nextAttempt()
    expect(again.attempt).toMatchObject({ runId: first, attempt: 2 })
    again.succeed()
    const next = await drivers.nextAttempt()
    expect(next.attempt.runId).toBe(second)
    next.succeed()
    await ended(store, second)
    expect((await store.list(prefixes.concurrency)).entries).toEqual([])
  })
})

describe("hosts without a free slot", () => {
  test("take the most important run first when one is free", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers, { attemptsMax: 1 })
    const of = (priority: number) => pipelineOf({ priority, steps: [{ driver: "work" }] })
    await submit(store, { pipeline: of(0) })
    const running = await drivers.nextAttempt()
    const low = await submit(store, { pipeline: of(-5) })
    const high = await submit(store, { pipeline: of(5) })
    // Both have been looked at, and starved, when a run that needs no slot has come and gone.
    await ended(store, await submit(store, { type: "nobody" }))
    running.succeed()
    const next = await drivers.nextAttempt()
    expect(next.attempt.runId).toBe(high)
    next.succeed()
    const last = await drivers.nextAttempt()
    expect(last.attempt.runId).toBe(low)
    last.succeed()
  })
})
