import { describe, expect, test } from "bun:test"
import pino from "pino"
import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { DriverResult } from "../../src/model/driver.ts"
import { claimKey, hostLeaseKey, prefixes, runKey, stepsPrefix } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { claimOn, ended, pipelineOf, startEngine, stepIn, submit } from "../rig/belt.ts"
import { FaultyStore } from "../rig/faulty-store.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { until } from "../rig/until.ts"

const build = pipelineOf({ steps: [{ driver: "build" }] })
const buildThenShip = pipelineOf({ steps: [{ driver: "build" }, { driver: "ship" }] })

/** The log of a host, and what it has said there that is worth a warning. */
function heard() {
  const said: string[] = []
  return { said, log: pino({ level: "warn" }, { write: (line) => said.push(JSON.parse(line).msg) }) }
}

describe("a run ends", () => {
  test("when the watch is behind its own verdict", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers)
    const pipeline = pipelineOf({
      steps: [
        { id: "build", driver: "build", needs: [] },
        { id: "other", driver: "absent", needs: [] },
      ],
    })
    const runId = await submit(real, { pipeline })
    const attempt = await drivers.nextAttempt("build")
    await stepIn(real, runId, "other", "waiting")
    store.holdWatches()
    attempt.fail("broken")
    await until("the verdict is written", async () => {
      const entry = await real.get(runKey(runId))
      return entry?.value.includes('"stopping"')
    })
    store.releaseWatches()
    expect(await ended(real, runId)).toMatchObject({ status: "failed" })
  })

  test("though what happened while it was read is lost to the watch", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(real, { pipeline: buildThenShip })
    const attempt = await drivers.nextAttempt("build")
    // The answer to the result's commit is lost, so the run is read; and while it is, the watch loses the cancel.
    store.lostAnswers = 1
    store.holdLists()
    attempt.succeed()
    await until("the run is being read", () => store.heldLists === 1)
    store.holdWatches()
    await cancel(real, runId)
    store.compact()
    store.releaseWatches()
    await until("the active runs are listed anew", () => store.heldLists === 5)
    store.releaseLists()
    expect(await ended(real, runId)).toMatchObject({ status: "cancelled" })
  })

  test("when the answer to any one of its commits is lost", async () => {
    await using real = await openSqlite(":memory:")
    for (let healthy = 0; healthy < 4; healthy++) {
      const store = new FaultyStore(real)
      const drivers = new ScriptedDrivers("build", "ship")
      await using _engine = await startEngine(store, drivers)
      if (healthy === 0) store.lostAnswers = 1
      const runId = await submit(real, { pipeline: buildThenShip })
      const first = await drivers.nextAttempt("build")
      if (healthy === 1) store.lostAnswers = 1
      first.succeed()
      const second = await drivers.nextAttempt("ship")
      if (healthy === 2) store.lostAnswers = 1
      second.succeed()
      const run = await ended(real, runId)
      expect(run.steps.map(({ status, attempt }) => [status, attempt])).toEqual([
        ["succeeded", 1],
        ["succeeded", 1],
      ])
      expect(drivers.history).toEqual(["build#1", "ship#1"])
    }
  })

  test("when its driver's message is longer than a commit may be", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(store, { pipeline: build })
    ;(await drivers.nextAttempt()).fail("no ".repeat(600_000))
    expect((await ended(store, runId)).status).toBe("failed")
  })
})

describe("a free slot goes to a run that waits for one", () => {
  test("also when another that waited is cancelled first", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers, { attemptsMax: 1 })
    const first = await submit(store, { pipeline: build })
    const attempt = await drivers.nextAttempt()
    const second = await submit(store, { pipeline: build })
    const third = await submit(store, { pipeline: build })
    await cancel(store, second)
    await ended(store, second)
    attempt.succeed()
    await ended(store, first)
    ;(await drivers.nextAttempt()).succeed()
    expect((await ended(store, third)).status).toBe("succeeded")
  })

  test("also when the start that had taken it does not happen", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers, { attemptsMax: 1 })
    store.refused = { prefix: "runs/step/", with: "STORE_UNAVAILABLE" }
    const runIds = await Promise.all([1, 2, 3].map(() => submit(real, { pipeline: build })))
    await until("a start is refused", () => store.refusals > 0)
    store.refused = undefined
    for (const _ of runIds) (await drivers.nextAttempt()).succeed()
    for (const runId of runIds) expect((await ended(real, runId)).status).toBe("succeeded")
  })
})

describe("a host", () => {
  test("does not ask a store that refuses commits more often because a step waits for a slot", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    const two = [
      { id: "left", driver: "build", needs: [] },
      { id: "right", driver: "build", needs: [] },
    ]
    await using _engine = await startEngine(store, drivers, { attemptsMax: 1 })
    store.refused = { prefix: "runs/step/", with: "STORE_UNAVAILABLE" }
    const runId = await submit(real, { pipeline: pipelineOf({ steps: two }) })
    const start = performance.now()
    await until("commits are refused", () => store.refusals > 2)
    expect(performance.now() - start).toBeGreaterThan(400)
    store.refused = undefined
    for (const _ of two) (await drivers.nextAttempt()).succeed()
    expect((await ended(real, runId)).status).toBe("succeeded")
  })

  test("keeps its attempts when one renewal of its lease is not answered", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers, { leaseTtlMs: 600 })
    const runId = await submit(real, { pipeline: build })
    const attempt = await drivers.nextAttempt()
    store.refusedRenewals = 1
    await until("a renewal is refused", () => store.refusals > 0)
    const before = store.renewals
    await until("its lease is kept alive", () => store.renewals > before + 2)
    expect(attempt.attempt.signal.aborted).toBe(false)
    attempt.succeed()
    expect((await ended(real, runId)).steps[0]?.attempt).toBe(1)
  })

  test("that lost its lease leaves its attempts to others when they have ended", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const slow = new SlowToEnd("build")
    await using _sick = await startEngine(store, slow, { hostId: "sick", leaseTtlMs: 2_400 })
    const runId = await submit(real, { pipeline: build })
    const attempt = await slow.nextAttempt()
    const others = new ScriptedDrivers("build")
    await using _other = await startEngine(real, others)
    store.refusedRenewals = 100
    expect((await attempt.result).message).toBe("ended: this host lost its lease")
    // Three commits later the sick host's next word to the store would have been heard.
    for (const value of ["1", "2", "3"]) await real.commit([], [{ type: "put", key: "later", value }])
    expect(await claimOn(real, runId, "build")).toEqual({ hostId: "sick", attempt: 1 })
    expect(others.history).toEqual([])
    store.refusedRenewals = 0
    slow.end()
    const next = await Promise.race([slow.nextAttempt(), others.nextAttempt()])
    expect(next.attempt.attempt).toBe(2)
    next.succeed()
    expect((await ended(real, runId)).status).toBe("succeeded")
  })

  test("that regains a lease works although its record cannot be written at first", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers, { leaseTtlMs: 600 })
    const [host] = (await real.list(prefixes.hosts)).entries
    store.refused = { prefix: prefixes.hosts, with: "STORE_UNAVAILABLE" }
    await real.revoke({ id: host?.lease ?? "", ttlMs: 600 })
    await until("the record is refused", () => store.refusals > 0)
    const runId = await submit(real, { pipeline: build })
    const attempt = await drivers.nextAttempt()
    store.refused = undefined
    await until("the record is back", async () => (await real.list(prefixes.hosts)).entries.length === 1)
    const before = store.renewals
    await until("its lease is kept alive", () => store.renewals > before + 4)
    expect(attempt.attempt.signal.aborted).toBe(false)
    attempt.succeed()
    expect((await ended(real, runId)).steps[0]?.attempt).toBe(1)
  })

  test("goes on where it was after an outage of the store", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build", "ship")
    await using _engine = await startEngine(store, drivers)
    const runId = await submit(real, { pipeline: buildThenShip })
    const attempt = await drivers.nextAttempt("build")
    store.goAway()
    attempt.succeed()
    await until("the store was asked in vain", () => store.refusals > 2)
    store.comeBack()
    ;(await drivers.nextAttempt("ship")).succeed()
    expect((await ended(real, runId)).steps.map(({ attempt }) => attempt)).toEqual([1, 1])
  })

  test("says once that the store does not answer, however many runs it holds up", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    const { said, log } = heard()
    await using _engine = await startEngine(store, drivers, { log })
    const runIds = await Promise.all([1, 2, 3].map(() => submit(real, { pipeline: build })))
    const attempts = [await drivers.nextAttempt(), await drivers.nextAttempt(), await drivers.nextAttempt()]
    store.goAway()
    for (const attempt of attempts) attempt.succeed()
    await until("the store was asked in vain", () => store.refusals > 6)
    store.comeBack()
    for (const runId of runIds) await ended(real, runId)
    expect(said).toEqual(["runs wait for the store, and go on when it is back"])
  })

  test("says so no second time because a run that waits for nothing was looked at meanwhile", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    const { said, log } = heard()
    await using _engine = await startEngine(store, drivers, { log })
    const runIds = await Promise.all([1, 2].map(() => submit(real, { pipeline: build })))
    const [held, other] = [await drivers.nextAttempt(), await drivers.nextAttempt()]
    store.goAway()
    held.succeed()
    for (let looks = 1; looks <= 3; looks++) {
      const before = store.refusals
      await until("the store was asked in vain", () => store.refusals > before + 1)
      // Every run is looked at.
      drivers.add(`driver-${looks}`)
    }
    store.comeBack()
    other.succeed()
    for (const runId of runIds) await ended(real, runId)
    expect(said.filter((message) => message.startsWith("runs wait"))).toHaveLength(1)
  })

  test("says so once while the store takes some of what is written and refuses the rest, as on a full disk", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const drivers = new ScriptedDrivers("build")
    const { said, log } = heard()
    await using _engine = await startEngine(store, drivers, { log })
    const refused = await submit(real, { pipeline: build })
    const held = await drivers.nextAttempt()
    store.refused = { prefix: stepsPrefix(refused), with: "STORE_UNAVAILABLE" }
    held.succeed()
    for (let others = 1; others <= 3; others++) {
      const before = store.refusals
      await until("the store refused again", () => store.refusals > before)
      const taken = await submit(real, { pipeline: build })
      ;(await drivers.nextAttempt()).succeed()
      await ended(real, taken)
    }
    store.refused = undefined
    await ended(real, refused)
    expect(said).toEqual(["runs wait for the store, and go on when it is back"])
  })

  test("says once that its lease could not be renewed, however often it tries", async () => {
    await using real = await openSqlite(":memory:")
    const store = new FaultyStore(real)
    const { said, log } = heard()
    await using _engine = await startEngine(store, new ScriptedDrivers(), { log, leaseTtlMs: 1_500 })
    store.refusedRenewals = 3
    await until("its lease is kept alive again", () => store.renewals > 0)
    store.refusedRenewals = 1
    await until("another outage is over", () => store.refusals === 4 && store.renewals > 1)
    expect(said).toEqual(Array(2).fill("the host's lease could not be renewed"))
  })

  test("fails an attempt whose log cannot be written, and says why", async () => {
    await using store = await openSqlite(":memory:")
    const drivers = new ScriptedDrivers("build")
    await using _engine = await startEngine(store, drivers, {
      appendLog: () => Promise.reject(new Error("no space left")),
    })
    const runId = await submit(store, { pipeline: build })
    const attempt = await drivers.nextAttempt()
    await attempt.attempt.log([{ at: new Date().toISOString(), stream: "log", message: "hello" }])
    attempt.succeed()
    expect(await ended(store, runId)).toMatchObject({
      status: "failed",
      message: 'step "build" failed: its log could not be written: no space left',
    })
  })
})

/** Drivers whose attempts, once they have their result, take until {@link end} to be over. */
class SlowToEnd extends ScriptedDrivers {
  readonly #over = Promise.withResolvers<void>()

  override async run(attempt: Attempt): Promise<DriverResult> {
    const result = await super.run(attempt)
    await this.#over.promise
    return result
  }

  end(): void {
    this.#over.resolve()
  }
}

async function cancel(store: Store, runId: string): Promise<void> {
  await until("the cancel is written", async () => {
    const entry = await store.get(runKey(runId))
    if (entry === undefined) return undefined
    const run = { ...JSON.parse(entry.value), cancelRequestedAt: new Date().toISOString() }
    const guard = { key: entry.key, modRevision: entry.modRevision }
    return await store.commit([guard], [{ type: "put", key: entry.key, value: JSON.stringify(run) }])
  })
}

test("a host that hears late of its own claim does not start what another one has taken over by then", async () => {
  await using real = await openSqlite(":memory:")
  const store = new FaultyStore(real)
  const late = new ScriptedDrivers("build")
  await using _late = await startEngine(store, late, { hostId: "late" })
  store.holdAnswers("runs/claim/")
  const runId = await submit(real, { pipeline: build })
  await until("it has the claim", async () => (await claimOn(real, runId, "build"))?.hostId === "late")
  const drivers = new ScriptedDrivers("build")
  await using _other = await startEngine(real, drivers)
  // Its lease ends, and it has not heard of that.
  await real.commit(
    [],
    [
      { type: "delete", key: hostLeaseKey("late") },
      { type: "delete", key: claimKey(runId, "build") },
    ],
  )
  const takenOver = await drivers.nextAttempt()
  const hasHeard = async () => {
    const { revision } = await real.list(prefixes.runs)
    await until("it has heard of it", () => (store.heard.get(prefixes.runs) ?? 0) >= revision)
  }
  await hasHeard()
  store.releaseAnswers()
  takenOver.succeed()
  expect((await ended(real, runId)).status).toBe("succeeded")
  await hasHeard()
  expect([late.history, drivers.history]).toEqual([[], ["build#2"]])
})
