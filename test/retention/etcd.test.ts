import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { openEtcd } from "../../src/store/etcd.ts"
import { connect } from "../../src/store/etcd-client.ts"
import { prefixes, resourceKey } from "../../src/store/keys.ts"
import type { Revision, Store } from "../../src/store/store.ts"
import { pipelineOf, startEngine, submit } from "../rig/belt.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { defragment, empty, fillUp } from "../rig/etcd-space.ts"
import { ScriptedDrivers } from "../rig/scripted-drivers.ts"
import { until } from "../rig/until.ts"
import { left, leftRuns, putRun, retentionOf } from "./records.ts"

const testMsMax = 60_000

describe("on a real etcd", () => {
  let etcd: EtcdRig
  beforeAll(async () => {
    etcd = await startEtcd()
  }, testMsMax)
  afterAll(() => etcd[Symbol.asyncDispose]())
  const open = (prefix: string) => openEtcd({ endpoints: [etcd.endpoint], prefix })

  test(
    "two hosts on one store do not both collect it",
    async () => {
      await using one = await open("two/")
      await using other = await open("two/")
      for (let n = 0; n < 60; n++) await putRun(one, { endedDaysAgo: 1 })
      await using first = retentionOf(one, { limits: { keepRunsMax: 10 } })
      await using second = retentionOf(other, { limits: { keepRunsMax: 10 } })
      const collected = await Promise.all([first.pass(), second.pass()])
      expect(collected.map(({ runs }) => runs).sort()).toEqual([0, 50])
      expect(await leftRuns(one)).toHaveLength(10)
    },
    testMsMax,
  )

  test(
    "history older than is kept is forgotten, by the host that collects and no other",
    async () => {
      await using store = await open("history/")
      let monotonicMs = 0
      const options = { historyMs: 600_000, now: () => ({ wallMs: Date.now(), monotonicMs }) }
      await using collecting = retentionOf(store, options)
      await using waiting = retentionOf(store, options)
      const passes = async () => {
        await collecting.pass()
        await waiting.pass()
      }
      const { revision: before } = await store.list("")
      // What is compacted up to a revision is still known from the one right before it on.
      await submit(store)
      await passes()
      await submit(store)
      const { revision: after } = await store.list("")
      monotonicMs = 599_000
      await passes()
      expect(await isKnown(store, before)).toBe(true)
      monotonicMs = 601_000
      await passes()
      expect(await isKnown(store, before)).toBe(false)
      expect(await isKnown(store, after)).toBe(true)
    },
    testMsMax,
  )

  test(
    "a host that follows loses no run while history is forgotten right behind it",
    async () => {
      await using store = await open("follows/")
      await using ofCollector = await open("follows/")
      const drivers = new ScriptedDrivers("shell")
      drivers.automatic.add("shell")
      await using _ = await startEngine(store, drivers)
      await using retention = retentionOf(ofCollector, { historyMs: 0 })
      const pipeline = pipelineOf({
        steps: [
          { id: "a", driver: "shell" },
          { id: "b", driver: "shell" },
        ],
      })
      let passes = 0
      const submitted = new AbortController()
      const collecting = (async () => {
        for (; !submitted.signal.aborted; passes++) await retention.pass()
      })()
      let runs = 0
      for (; runs < 40 || passes < 3; runs++) await submit(ofCollector, { pipeline })
      await until("all runs have ended", async () => (await left(store, prefixes.activeRuns)).length === 0)
      submitted.abort()
      await collecting
      expect(drivers.history).toHaveLength(2 * runs)
    },
    testMsMax,
  )
})

test(
  "an etcd that is out of space still loses what need not be kept, and all its history",
  async () => {
    await using etcd = await startEtcd({ quotaBytes: 16_000_000 })
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "c/" })
    await using retention = retentionOf(store, { historyMs: 600_000, limits: { keepRunsMax: 10 } })
    for (let n = 0; n < 30; n++) await putRun(store, { endedDaysAgo: 1 })
    await retention.pass()
    for (let n = 0; n < 30; n++) await putRun(store, { endedDaysAgo: 1 })
    const { revision: before } = await store.list("")
    await fillUp(etcd)
    await empty(etcd)
    expect((await retention.pass()).runs).toBe(30)
    expect(await leftRuns(store)).toHaveLength(10)
    await defragment(etcd)
    expect(await isKnown(store, before)).toBe(false)
  },
  testMsMax,
)

test(
  "an etcd under constant load does not outgrow its quota",
  async () => {
    await using etcd = await startEtcd()
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "c/" })
    await using retention = retentionOf(store, { historyMs: 0, limits: { keepRunsMax: 10 } })
    const roundBytes = 4_000_000
    const spec = "x".repeat(roundBytes / 20)
    const sizes: number[] = []
    for (let round = 0; round < 16; round++) {
      for (let n = 0; n < 20; n++) {
        await store.commit([], [{ type: "put", key: resourceKey("app", "load"), value: spec }])
        await putRun(store, { endedDaysAgo: 1 })
      }
      await retention.pass()
      sizes.push(await sizeOf(etcd))
    }
    expect(await leftRuns(store)).toHaveLength(10)
    expect(Math.max(...sizes)).toBeLessThan((16 * roundBytes) / 2)
  },
  testMsMax,
)

async function isKnown(store: Store, since: Revision): Promise<boolean> {
  const enough = new AbortController()
  // So that there is something after it in any case.
  await store.commit([], [{ type: "put", key: "mark", value: "" }])
  try {
    for await (const _ of store.watch("", since, enough.signal)) return true
    return true
  } catch (error) {
    expect(error).toMatchObject({ code: "COMPACTED" })
    return false
  } finally {
    enough.abort()
  }
}

/** The size of its file. */
async function sizeOf({ endpoint }: EtcdRig): Promise<number> {
  const client = connect({ endpoints: [endpoint], prefix: "" })
  try {
    return Number((await client.maintenance.status()).dbSize)
  } finally {
    client.close()
  }
}
