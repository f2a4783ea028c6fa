import { expect, test } from "bun:test"
import { join } from "node:path"
import type { Attempt } from "../../src/drivers/driver-host.ts"
import { ThreadPool } from "../../src/drivers/pool.ts"
import { workerEntry } from "../../src/drivers/shipped.ts"
import { DriverThread } from "../../src/drivers/thread.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

interface PoolRig extends AsyncDisposable {
  readonly pool: ThreadPool
  started(): number
}

async function openPool(
  options: { readonly source?: string; readonly idleMs?: number; readonly threadsMax?: number } = {},
): Promise<PoolRig> {
  const folder = await tempFolder()
  const file = join(folder.path, "driver.js")
  await Bun.write(file, options.source ?? "export default { reconcile() {} }")
  let started = 0
  const pool = new ThreadPool({
    ...options,
    start: () => {
      started++
      return new DriverThread({
        entry: workerEntry,
        file,
        data: "/nowhere",
        heapBytesMax: Number.MAX_SAFE_INTEGER,
        onHeap() {},
      })
    },
  })
  return {
    pool,
    started: () => started,
    async [Symbol.asyncDispose]() {
      pool[Symbol.dispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const requests = {
  log: async () => {},
  exec: () => Promise.reject(new Error("no test runs a command")),
  defer: () => Promise.reject(new Error("no test defers anything")),
}
const context = { workspace: "/nowhere", input: {} } as unknown as Attempt &
  Parameters<DriverThread["run"]>[0]

test("a thread that came free serves the next attempt, and no other is started", async () => {
  await using rig = await openPool()
  for (let n = 0; n < 50; n++) {
    const thread = await rig.pool.acquire()
    expect(await thread.run(context, requests)).toEqual({ success: true, message: "" })
    rig.pool.release(thread)
  }
  expect(rig.started()).toBe(1)
})

test("attempts that are held up by long ones get threads of their own", async () => {
  await using rig = await openPool()
  const threads = await Promise.all(Array.from({ length: 8 }, () => rig.pool.acquire()))
  expect(new Set(threads).size).toBe(8)
  expect(rig.pool.size).toBe(8)
})

test("a pool at its limit makes attempts wait, and serves them in order", async () => {
  await using rig = await openPool({ threadsMax: 1 })
  const held = await rig.pool.acquire()
  const served: number[] = []
  const waiting = [1, 2, 3].map(async (n) => {
    const thread = await rig.pool.acquire()
    served.push(n)
    rig.pool.release(thread)
  })
  rig.pool.release(held)
  await Promise.all(waiting)
  expect(served).toEqual([1, 2, 3])
  expect(rig.started()).toBe(1)
})

test("idle threads end after a while", async () => {
  await using rig = await openPool({ idleMs: 20 })
  rig.pool.release(await rig.pool.acquire())
  await until("the pool is empty", () => rig.pool.size === 0)
  expect(await (await rig.pool.acquire()).run(context, requests)).toMatchObject({ success: true })
})

test("a retired pool ends its idle threads at once and busy ones after their attempt", async () => {
  await using rig = await openPool()
  const [idle, busy] = await Promise.all([rig.pool.acquire(), rig.pool.acquire()])
  rig.pool.release(idle)
  rig.pool.retire()
  expect([idle.ended, busy.ended]).toEqual([true, false])
  rig.pool.release(busy)
  expect(busy.ended).toBe(true)
  expect(rig.pool.size).toBe(0)
})

test("an attempt in a thread that cannot load its driver fails and says why", async () => {
  await using rig = await openPool({ source: "throw new Error('broken')" })
  const thread = await rig.pool.acquire()
  expect(await thread.run(context, requests)).toEqual({
    success: false,
    message: "The file throws when it is loaded: broken",
  })
  rig.pool.release(thread)
  expect(rig.pool.size).toBe(0)
})
