import { expect, test } from "bun:test"
import { ConveyorError } from "../../src/errors.ts"
import { HostLease } from "../../src/hosts/host-lease.ts"
import { prefixes } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"
import { runVirtually } from "../rig/virtual-clock.ts"

/** The store, with some of it done otherwise. */
function withOther(store: Store, other: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(name in other ? other : target, name)
      return typeof member === "function" ? member.bind(target) : member
    },
  })
}

function leaseOn(store: Store, options: { readonly ttlMs: number; readonly said: string[] }) {
  const record = {
    hostId: "host-1",
    version: "1",
    startedAt: "2026-01-01T00:00:00.000Z",
    folder: "folder-1",
    labels: {},
    drivers: [],
    driverFaults: [],
  }
  let attempts = 0
  return new HostLease({
    store,
    hostId: "host-1",
    ttlMs: options.ttlMs,
    // It changes all the time, as the load of a host does.
    describe: () => ({ ...record, load: { attempts: attempts++, attemptsMax: 64 } }),
    onError: (message) => options.said.push(message),
  })
}

test("a lease that was given too late is none: it is given back, and what happened is said", async () => {
  await using store = await openSqlite(":memory:")
  const granted: string[] = []
  const slow = withOther(store, {
    async grant(ttlMs) {
      const lease = await store.grant(60_000)
      granted.push(lease.id)
      await Bun.sleep(ttlMs)
      return lease
    },
  })
  await using lease = leaseOn(slow, { ttlMs: 100, said: [] })
  await expect(lease.start()).rejects.toThrow(/^the store took \d+ ms to give a lease of 100 ms$/)
  expect(lease.current).toBeUndefined()
  const [id = ""] = granted
  expect(await store.keepAlive({ id, ttlMs: 60_000 })).toBe(false)
})

test("a record that cannot be written costs no lease, is said once, and is written when it can be", async () => {
  await using store = await openSqlite(":memory:")
  let refused = 0
  let isFull = false
  const full = withOther(store, {
    commit(guards, writes) {
      if (!isFull) return store.commit(guards, writes)
      refused++
      return Promise.reject(new ConveyorError("STORE_UNAVAILABLE", "out of space"))
    },
  })
  const said: string[] = []
  await using lease = leaseOn(full, { ttlMs: 1_500, said })
  await lease.start()
  await lease.publish()
  const held = lease.current
  isFull = true
  await until("it was tried three times", () => refused >= 3)
  expect(said).toEqual(["the host's record could not be written"])
  expect(lease.current).toBe(held)
  isFull = false
  const loadOf = async () => (await store.list(prefixes.hosts)).entries[0]?.value
  const before = await loadOf()
  await until("it is written", async () => (await loadOf()) !== before)
})

test("a lease is kept on a network that takes a seventh of it for every answer", () =>
  runVirtually(async () => {
    await using store = await openSqlite(":memory:")
    const late = async <T>(answer: Promise<T>) => {
      await Bun.sleep(1_400)
      return await answer
    }
    const slow = withOther(store, {
      grant: (ttlMs) => late(store.grant(ttlMs)),
      keepAlive: (lease) => late(store.keepAlive(lease)),
      commit: (guards, writes) => late(store.commit(guards, writes)),
    })
    const said: string[] = []
    await using lease = leaseOn(slow, { ttlMs: 10_000, said })
    let lost = 0
    lease.listen({
      onGained: () => {},
      onLost: async () => {
        lost++
      },
    })
    await lease.start()
    await lease.publish()
    await Bun.sleep(120_000)
    expect({ lost, said }).toEqual({ lost: 0, said: [] })
  }))
