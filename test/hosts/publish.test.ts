import { expect, test } from "bun:test"
import { HostLease } from "../../src/hosts/host-lease.ts"
import type { HostRecord } from "../../src/model/host.ts"
import { hostDriverKey, hostKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"

const record: HostRecord = {
  hostId: "h",
  folder: "f",
  version: "1",
  startedAt: "2026-01-01T00:00:00.000Z",
  labels: {},
  load: { attempts: 0, attemptsMax: 1 },
  drivers: [],
  driverFaults: [],
}

/** A host that says whatever a test puts into `more`. */
async function openHost() {
  const store = await openSqlite(":memory:")
  const more = new Map<string, string>()
  const lease = new HostLease({
    store,
    hostId: "h",
    ttlMs: 60_000,
    describe: () => record,
    describeMore: () => more,
    onError: () => {},
  })
  await lease.start()
  return {
    store,
    more,
    lease,
    read: async (hash: string) => (await store.get(hostDriverKey("h", hash)))?.value,
    async [Symbol.asyncDispose]() {
      await lease[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

test("what a host says beside its record is written where it has changed, and only there", async () => {
  await using host = await openHost()
  host.more.set(hostDriverKey("h", "a"), "1").set(hostDriverKey("h", "b"), "1")
  await host.lease.publish()
  const before = await host.store.get(hostDriverKey("h", "a"))
  host.more.set(hostDriverKey("h", "b"), "2")
  await host.lease.publish()
  expect(await host.store.get(hostDriverKey("h", "a"))).toEqual(before)
  expect(await host.read("b")).toBe("2")
  expect(JSON.parse((await host.store.get(hostKey("h")))?.value ?? "")).toEqual(record)
})

test("what a host says no more is deleted", async () => {
  await using host = await openHost()
  host.more.set(hostDriverKey("h", "a"), "1")
  await host.lease.publish()
  host.more.clear()
  await host.lease.publish()
  expect(await host.read("a")).toBeUndefined()
})

test("all of it is gone with the lease, and written anew under the next one", async () => {
  await using host = await openHost()
  host.more.set(hostDriverKey("h", "a"), "1")
  await host.lease.publish()
  const lost = host.lease.current?.lease
  if (lost === undefined) throw new Error("The host must hold a lease")
  await host.store.revoke(lost)
  expect(await host.read("a")).toBeUndefined()
  await host.lease.confirm()
  await until("it is written again", async () => (await host.read("a")) !== undefined)
  expect((await host.store.get(hostDriverKey("h", "a")))?.lease).toBe(host.lease.current?.lease.id)
})

/** The next commit that writes this key is refused. */
function refuseOnce(store: Store, key: string): void {
  const { commit } = store
  store.commit = (guards, writes) => {
    if (!writes.some((write) => write.key === key)) return commit.call(store, guards, writes)
    store.commit = commit
    return Promise.reject(new Error("the disk is full"))
  }
}

test("what could not be written is written by the next call", async () => {
  await using host = await openHost()
  const key = hostDriverKey("h", "a")
  host.more.set(key, "1")
  refuseOnce(host.store, key)
  await expect(host.lease.publish()).rejects.toThrow("the disk is full")
  expect(await host.read("a")).toBeUndefined()
  await host.lease.publish()
  expect(await host.read("a")).toBe("1")
})

test("what could not be deleted is deleted by the next call", async () => {
  await using host = await openHost()
  const key = hostDriverKey("h", "a")
  host.more.set(key, "1")
  await host.lease.publish()
  host.more.clear()
  refuseOnce(host.store, key)
  await expect(host.lease.publish()).rejects.toThrow("the disk is full")
  await host.lease.publish()
  expect(await host.read("a")).toBeUndefined()
})
