import { expect, test } from "bun:test"
import { rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { hostLeaseKey, pipelineKey, prefixes } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Store } from "../../src/store/store.ts"
import { until } from "../rig/until.ts"
import { type LoaderRig, type LoaderRigOptions, loaderRig, pipelineText } from "./loader-rig.ts"

/** Two hosts on one store, each with a folder of its own. Nothing is started yet. */
async function twoHosts(options: Pick<LoaderRigOptions, "settleMs"> = {}) {
  const store = await openSqlite(":memory:")
  const a = await loaderRig({ hostId: "host-a", store, ...options })
  const b = await loaderRig({ hostId: "host-b", store, ...options })
  return {
    store,
    a,
    b,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

/** What a loader asks of a store, for a test to stand before it. */
function before(store: Store): Store {
  return {
    ...store,
    get: (key) => store.get(key),
    list: (prefix, options) => store.list(prefix, options),
    watch: (prefix, since, signal) => store.watch(prefix, since, signal),
    commit: (guards, writes) => store.commit(guards, writes),
  }
}

const drifts = ({ said }: LoaderRig) => said.filter((line) => line.includes(" drifts: "))

test("hosts with different contents of a file write it once, and one of them drifts", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  await a.write("p.yaml", pipelineText("p", "of a"))
  await b.write("p.yaml", pipelineText("p", "of b"))
  await a.start()
  await b.start()
  const looks = async () => {
    for (const host of [a, b, a, b, a, b]) await host.looksAgain()
  }
  await looks()
  const before = await a.records()
  await looks()
  expect((await a.records())[pipelineKey("p")]).toBe(before[pipelineKey("p")] ?? 0)
  expect((await a.record("p"))?.pipeline.description).toBe("of a")
  expect(drifts(a)).toEqual([])
  expect(drifts(b)).toEqual([expect.stringMatching(/^p\.yaml: the pipeline "p" drifts: .* host-a has\./)])
}, 30_000)

test("a host that joins with an empty folder deletes nothing, and one with other files adds only those", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  await a.write("p.yaml", pipelineText("p"))
  await a.write("kinds.yaml", "kind: ResourceDefinition\nname: app\nschema: true\n")
  await a.start()
  const before = await a.records()
  await b.start()
  await b.looksAgain()
  expect(await a.records()).toMatchObject(before)
  await b.write("q.yaml", pipelineText("q"))
  await b.serves("q", "first")
  await b.looksAgain()
  await a.looksAgain()
  expect(await a.records()).toMatchObject(before)
  expect((await a.record("q"))?.file).toBe("q.yaml")
})

test("an edit wins, wherever it is made, and the other host drifts until it has the same", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  for (const host of [a, b]) {
    await host.write("p.yaml", pipelineText("p", "old"))
    await host.start()
  }
  expect(drifts(b)).toEqual([])
  await b.write("p.yaml", pipelineText("p", "new"))
  await b.serves("p", "new")
  await until("the other drifts", () => drifts(a).length === 1)
  const written = (await a.records())[pipelineKey("p")]
  await a.write("p.yaml", pipelineText("p", "new"))
  await until("the drift is over", () => a.said.includes('The pipeline "p" here drifts no more'))
  expect((await a.records())[pipelineKey("p")]).toBe(written ?? 0)
  await a.write("p.yaml", pipelineText("p", "newest"))
  await a.serves("p", "newest")
  await until("the first one drifts", () => drifts(b).length === 1)
})

test("of two edits at the same moment one stands, and the host of the other one drifts", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  for (const host of [a, b]) {
    await host.write("p.yaml", pipelineText("p", "old"))
    await host.start()
  }
  for (let n = 0; n < 3; n++) {
    await Promise.all([
      a.write("p.yaml", pipelineText("p", `a${n}`)),
      b.write("p.yaml", pipelineText("p", `b${n}`)),
    ])
    await until("one of them stands", async () =>
      (await a.record("p"))?.pipeline.description?.endsWith(`${n}`),
    )
    for (const host of [a, b, a, b]) await host.looksAgain()
    const stands = (await a.records())[pipelineKey("p")]
    for (const host of [b, a, b, a]) await host.looksAgain()
    expect((await a.records())[pipelineKey("p")]).toBe(stands ?? 0)
    const { hash } = (await a.record("p")) ?? {}
    const folders = [await a.published("p.yaml"), await b.published("p.yaml")]
    const hashes = folders.map((folder) => folder?.declares[0]?.hash)
    expect(hashes.filter((one) => one === hash)).toHaveLength(1)
    const loser = hashes[0] === hash ? b : a
    expect(drifts(loser).at(-1)).toContain(`in the store ${hash?.slice(0, 12)}`)
  }
}, 30_000)

test("what one host deletes stays while another has it, and goes when that one deletes it too", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  for (const host of [a, b]) {
    await host.write("p.yaml", pipelineText("p"))
    await host.start()
  }
  await rm(join(a.folder, "p.yaml"))
  const stays = 'p.yaml no longer declares the pipeline "p"; it stays, because another host has it: host-b'
  await until("it is said", () => a.said.includes(stays))
  await a.looksAgain()
  expect(await a.record("p")).toBeDefined()
  await rm(join(b.folder, "p.yaml"))
  await b.serves("p", undefined)
  expect(a.said.filter((line) => line === stays)).toHaveLength(1)
})

test("what both hosts delete at the same moment goes, although each saw that the other had it", async () => {
  await using hosts = await twoHosts()
  const { store, a, b } = hosts
  const bothHaveSeen = Promise.withResolvers<void>()
  const arrived = new Set<LoaderRig>()
  for (const host of [a, b]) {
    await host.write("p.yaml", pipelineText("p"))
    await host.start({
      ...before(store),
      async commit(guards, writes) {
        const isDeletion = writes.some(
          ({ type, key }) => type === "delete" && key.startsWith(prefixes.hostFiles),
        )
        if (isDeletion) {
          arrived.add(host)
          if (arrived.size === 2) bothHaveSeen.resolve()
          await bothHaveSeen.promise
        }
        return await store.commit(guards, writes)
      },
    })
  }
  await Promise.all([a, b].map(({ folder }) => rm(join(folder, "p.yaml"))))
  await a.serves("p", undefined)
  expect(arrived.size).toBe(2)
})

test("a rename on one host is followed once, and a host with the old name does not undo it", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  for (const host of [a, b]) {
    await host.write("old.yaml", pipelineText("p"))
    await host.start()
  }
  await rename(join(a.folder, "old.yaml"), join(a.folder, "new.yaml"))
  await until("it is renamed", async () => (await a.record("p"))?.file === "new.yaml")
  const renamed = (await a.records())[pipelineKey("p")]
  for (const host of [a, b, a, b]) await host.looksAgain()
  expect((await a.records())[pipelineKey("p")]).toBe(renamed ?? 0)
  expect([...drifts(a), ...drifts(b)]).toEqual([])
})

test("an edit made while the host was down is written at its start, and the rest of its folder is not", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  for (const host of [a, b]) {
    await host.write("p.yaml", pipelineText("p", "old"))
    await host.write("q.yaml", pipelineText("q", "old"))
  }
  const first = await a.start()
  await b.start()
  await first[Symbol.asyncDispose]()
  await b.write("q.yaml", pipelineText("q", "edited elsewhere"))
  await b.serves("q", "edited elsewhere")
  await a.write("p.yaml", pipelineText("p", "edited here"))
  await a.start()
  expect((await a.record("p"))?.pipeline.description).toBe("edited here")
  expect((await a.record("q"))?.pipeline.description).toBe("edited elsewhere")
  expect(drifts(a)).toHaveLength(1)
})

test("a host that lost its memory deletes nothing, and writes over only what no live host has", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  await a.write("p.yaml", pipelineText("p", "old"))
  await a.write("gone.yaml", pipelineText("gone"))
  await b.write("q.yaml", pipelineText("q", "of b"))
  const first = await a.start()
  await b.start()
  await first[Symbol.asyncDispose]()
  await rm(a.memory)
  await rm(join(a.folder, "gone.yaml"))
  await a.write("p.yaml", pipelineText("p", "new"))
  await a.write("q.yaml", pipelineText("q", "of a"))
  await a.start()
  expect((await a.record("p"))?.pipeline.description).toBe("new")
  expect((await a.record("q"))?.pipeline.description).toBe("of b")
  expect(await a.record("gone")).toBeDefined()
})

test("a memory of another store is none", async () => {
  await using hosts = await twoHosts()
  const { a } = hosts
  await a.write("p.yaml", pipelineText("p", "old"))
  const first = await a.start()
  await first[Symbol.asyncDispose]()
  const memory = await Bun.file(a.memory).json()
  await Bun.write(a.memory, JSON.stringify({ ...memory, storeId: "another" }))
  await rm(join(a.folder, "p.yaml"))
  await a.start()
  expect(await a.record("p")).toBeDefined()
})

test("a host that died takes its files out of sight, and nothing out of the store", async () => {
  await using hosts = await twoHosts()
  const { a, b } = hosts
  await a.write("p.yaml", pipelineText("p", "of a"))
  await b.write("p.yaml", pipelineText("p", "of b"))
  const first = await a.start()
  await b.start()
  await first[Symbol.asyncDispose]()
  await until("nobody has it", () => drifts(b).some((line) => line.includes("which no live host has")))
  await b.looksAgain()
  expect((await b.record("p"))?.pipeline.description).toBe("of a")
  expect(await a.published("p.yaml")).toBeUndefined()
})

test("everything is published again under a new lease", async () => {
  await using hosts = await twoHosts()
  const { store, a, b } = hosts
  await a.write("p.yaml", pipelineText("p"))
  await a.start()
  await b.start()
  const fence = await store.get(hostLeaseKey("host-a"))
  await store.revoke({ id: fence?.lease ?? "", ttlMs: 1 })
  expect(await a.published("p.yaml")).toBeUndefined()
  // Its next commit finds that the lease is over.
  await a.write("q.yaml", pipelineText("q"))
  await a.serves("q", "first")
  await until("it is published again", () => a.published("p.yaml"))
  expect((await store.get(hostLeaseKey("host-a")))?.lease).not.toBe(fence?.lease ?? "")
})

test("a host that takes the place of a dead one, whose lease still lives, is not held up by it", async () => {
  await using hosts = await twoHosts({ settleMs: 600_000 })
  const { a, b } = hosts
  // The dead one, as the store shows it until its lease ends.
  await a.write("p.yaml", pipelineText("p", "old"))
  await a.write("gone.yaml", pipelineText("gone"))
  const dead = await a.start()
  // It had the same data folder: what it remembered is there, but for what was lost.
  await Bun.write(b.memory, (await Bun.file(a.memory).text()).replaceAll(a.folder, b.folder))
  const memory = await Bun.file(b.memory).json()
  const seen = memory.seen.filter(({ name }: { name: string }) => name !== "pipeline p")
  await Bun.write(b.memory, JSON.stringify({ ...memory, seen }))
  await b.write("p.yaml", pipelineText("p", "new"))
  await b.start()
  expect((await b.record("p"))?.pipeline.description).toBe("old")
  expect(await b.record("gone")).toBeDefined()
  await dead[Symbol.asyncDispose]()
  await b.serves("p", "new")
  await b.serves("gone", undefined)
})

test("a host whose lease ends between its word and its write writes under the next one only", async () => {
  await using hosts = await twoHosts()
  const { store, a } = hosts
  const answers: boolean[] = []
  await a.write("p.yaml", pipelineText("p"))
  await a.start({
    ...before(store),
    async commit(guards, writes) {
      const isWrite = writes.some(({ key }) => key === pipelineKey("p"))
      const fence = await store.get(hostLeaseKey("host-a"))
      // As for a process that is stopped right here, for longer than its lease.
      if (isWrite && answers.length === 0) await store.revoke({ id: fence?.lease ?? "", ttlMs: 1 })
      const revision = await store.commit(guards, writes)
      if (isWrite) answers.push(revision !== undefined)
      return revision
    },
  })
  expect(answers).toEqual([false, true])
  expect(await a.published("p.yaml")).toBeDefined()
})
