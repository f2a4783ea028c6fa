import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { openEtcd } from "../../src/store/etcd.ts"
import { type EtcdClusterRig, type EtcdRig, startEtcdCluster } from "../rig/etcd.ts"
import { changes, put, wordOf, write } from "./watching.ts"

describe("a store on an etcd of three members", () => {
  let etcd: EtcdClusterRig
  beforeAll(async () => {
    etcd = await startEtcdCluster({ electionMs: 1_000 })
  }, 60_000)
  afterAll(() => etcd[Symbol.asyncDispose]())

  /** A store that talks to a member which does not lead, and that member. */
  async function openOnFollower() {
    const leader = await etcd.leader()
    const [follower, ...others] = etcd.members.filter((member) => member !== leader) as [EtcdRig, EtcdRig]
    const endpoints = [follower, ...others, leader].map(({ endpoint }) => endpoint)
    return { store: await openEtcd({ endpoints, prefix: `${crypto.randomUUID()}/` }), follower }
  }

  test("renews its lease at another member when one hangs, and asks that from then on", async () => {
    const { store: opened, follower } = await openOnFollower()
    await using store = opened
    const lease = await store.grant(3_000)
    await follower.pause()
    try {
      const pausedAt = performance.now()
      expect(await store.keepAlive(lease)).toBe(true)
      // A third of its time is left when a renewal is due.
      expect(performance.now() - pausedAt).toBeLessThan(1_000)
      await write(store, put("a", "1"))
      expect((await store.get("a"))?.value).toBe("1")
      expect(performance.now() - pausedAt).toBeLessThan(2_000)
    } finally {
      follower.resume()
    }
  }, 30_000)

  test("reads from another member when one hangs, and watches there", async () => {
    const { store: opened, follower } = await openOnFollower()
    await using store = opened
    const since = await write(store, put("a", "1"))
    const seen = changes(store, { since, count: 1 })
    await follower.pause()
    try {
      expect((await store.get("a"))?.value).toBe("1")
      const askedAt = performance.now()
      await write(store, put("a", "2"))
      expect((await seen).map(wordOf)).toEqual(["a=2"])
      expect(performance.now() - askedAt).toBeLessThan(2_000)
    } finally {
      follower.resume()
    }
  }, 30_000)

  test("loses the answer of no more than one commit when a member is killed, and what follows goes elsewhere", async () => {
    const { store: opened, follower } = await openOnFollower()
    await using store = opened
    const since = await write(store, put("a", "0"))
    const seen = changes(store, { since, count: 20 })
    await follower.kill()
    try {
      // Whether it was on its way when the connection broke, nobody knows.
      await write(store, put("b", "0")).catch((error) => expect(error.code).toBe("STORE_UNAVAILABLE"))
      for (let n = 1; n <= 20; n++) await write(store, put("a", `${n}`))
      const words = (await seen).map(wordOf).filter((word) => word.startsWith("a"))
      expect(words.slice(0, 19)).toEqual(Array.from({ length: 19 }, (_, n) => `a=${n + 1}`))
    } finally {
      await follower.restart()
    }
  }, 30_000)
})
