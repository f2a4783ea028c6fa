import { describe, expect, test } from "bun:test"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import {
  activeRunKey,
  pipelineRevisionKey,
  prefixes,
  resourceKey,
  resourceVersionKey,
  runKey,
} from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store, Write } from "../../src/store/store.ts"
import { cancelRun, ended, hashOf, pipelineOf, startEngine, submit, view } from "../rig/belt.ts"
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

/** Runs of two versions of one resource, that come at the same moment. */
async function submitVersions(store: Store, pipeline: Pipeline): Promise<readonly [string, string]> {
  const older = Bun.randomUUIDv7()
  const newer = Bun.randomUUIDv7()
  const at = new Date().toISOString()
  const resource = { name: "shop", resource: "app", metadata: {}, spec, createdAt: at, updatedAt: at }
  const put = (key: string, value: unknown): Write => ({ type: "put", key, value: JSON.stringify(value) })
  const putRun = (runId: string, version: number) => [
    put(runKey(runId), {
      runId,
      event: "update",
      resource: { type: "app", name: "shop", version },
      pipeline: { name: pipeline.name, hash: hashOf(pipeline) },
      status: "pending",
      createdAt: at,
    }),
    put(activeRunKey(runId), ""),
  ]
  const writes = [
    put(pipelineRevisionKey(hashOf(pipeline)), pipeline),
    put(resourceVersionKey("app", "shop", 1), { ...resource, version: 1 }),
    put(resourceKey("app", "shop"), { ...resource, version: 2 }),
    ...putRun(older, 1),
    ...putRun(newer, 2),
  ]
  await store.commit([], writes)
  return [older, newer]
}

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

  test("leave the place to the newest of them, whichever is looked at first", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = deploying({ policy: "replace" })
    // Of two versions of one resource the earlier one takes longer to be read.
    const [older, newer] = await submitVersions(store, pipeline)
    expect(await ended(store, older)).toMatchObject({
      status: "cancelled",
      message: `cancelled: replaced by run ${newer}`,
    })
    const attempts = [await drivers.nextAttempt()]
    if (attempts[0]?.attempt.runId !== newer) attempts.push(await drivers.nextAttempt())
    attempts.at(-1)?.succeed()
    expect((await ended(store, newer)).status).toBe("succeeded")
  })

  test("go in the order in which they were made, whichever is looked at first", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("work")
    await using _engine = await startEngine(store, drivers)
    const pipeline = deploying()
    await submit(store, { pipeline, spec })
    const holding = await drivers.nextAttempt()
    const [older] = await submitVersions(store, pipeline)
    const queue = async () =>
      JSON.parse((await store.list(prefixes.concurrency)).entries[0]?.value ?? "").queue
    await until("both wait", async () => (await queue()).length === 2)
    holding.succeed()
    expect((await drivers.nextAttempt()).attempt.runId).toBe(older)
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
