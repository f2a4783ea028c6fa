import { expect, test } from "bun:test"
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ConveyorError } from "../../src/errors.ts"
import type { ResourceDefinition } from "../../src/model/resource.ts"
import { definitionKey, pipelineKey, pipelineRevisionKey, prefixes } from "../../src/store/keys.ts"
import { until } from "../rig/until.ts"
import { loaderRig, pipelineText } from "./loader-rig.ts"

const broken = "name: a\nresource: app\nsteps:\n  - drver: shell\n"

test("what the files declare is in the store when the loader has started", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.write(
    "deep/er/b.json",
    JSON.stringify({ name: "b", resource: "app", steps: [{ driver: "git" }] }),
  )
  await rig.write("kinds.yml", "kind: ResourceDefinition\nname: app\nschema: { type: object }\n")
  const loader = await rig.start()
  expect(loader.pipelines).toBe(2)
  const a = await rig.record("a")
  expect(a).toMatchObject({ file: "a.yaml", pipeline: { name: "a", steps: [{ id: "shell", needs: [] }] } })
  expect(await rig.store.get(pipelineRevisionKey(a?.hash ?? ""))).toMatchObject({
    value: expect.stringContaining('"description":"first"'),
  })
  expect((await rig.record("b"))?.file).toBe("deep/er/b.json")
  const definition = await rig.store.get(definitionKey("app"))
  expect(JSON.parse(definition?.value ?? "") as ResourceDefinition).toMatchObject({
    name: "app",
    schema: { type: "object" },
    file: "kinds.yml",
  })
})

test("dotfiles, dot folders and other endings declare nothing", async () => {
  await using rig = await loaderRig()
  await rig.write(".a.yaml", pipelineText("a"))
  await rig.write(".git/b.yaml", pipelineText("b"))
  await rig.write("c.yaml~", pipelineText("c"))
  const loader = await rig.start()
  expect(loader.pipelines).toBe(0)
})

test("a change in place reaches the store, and a changed pipeline keeps when it was made", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.start()
  const before = await rig.record("a")
  await rig.write("a.yaml", pipelineText("a", "second"))
  await rig.serves("a", "second")
  const after = await rig.record("a")
  expect(after?.createdAt).toBe(before?.createdAt ?? "")
  expect(after?.hash).not.toBe(before?.hash ?? "")
  expect(await rig.store.get(pipelineRevisionKey(before?.hash ?? ""))).toBeDefined()
})

test("a new file, a new folder and a file renamed over another reach the store", async () => {
  await using rig = await loaderRig()
  await rig.start()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.serves("a", "first")
  await rig.write("new/b.yaml", pipelineText("b"))
  await rig.serves("b", "first")
  await rig.write(".a.tmp", pipelineText("a", "renamed over"))
  await rename(join(rig.folder, ".a.tmp"), join(rig.folder, "a.yaml"))
  await rig.serves("a", "renamed over")
})

test("twenty writes at once leave the last one in the store", async () => {
  await using rig = await loaderRig()
  await rig.start()
  for (let n = 0; n < 20; n++) await rig.write("a.yaml", pipelineText("a", `edit${n}`))
  await rig.serves("a", "edit19")
})

test("files switched by a symbolic link, as Kubernetes mounts them, reach the store", async () => {
  await using rig = await loaderRig()
  const version = async (name: string, description: string) => {
    await rig.write(`${name}/a.yaml`, pipelineText("a", description))
    await symlink(name, join(rig.folder, "..data_tmp"))
    await rename(join(rig.folder, "..data_tmp"), join(rig.folder, "..data"))
  }
  await version("..2026_1", "first")
  await symlink("..data/a.yaml", join(rig.folder, "a.yaml"))
  await rig.start()
  await rig.serves("a", "first")
  await version("..2026_2", "second")
  await rm(join(rig.folder, "..2026_1"), { recursive: true })
  await rig.serves("a", "second")
  expect(await rig.faults("a.yaml")).toBeUndefined()
})

test("a half-written file keeps the good version until the rest is there", async () => {
  await using rig = await loaderRig()
  await rig.write(
    "a.json",
    JSON.stringify({ name: "a", resource: "app", description: "first", steps: [{ driver: "git" }] }),
  )
  await rig.start()
  const text = JSON.stringify({
    name: "a",
    resource: "app",
    description: "second",
    steps: [{ driver: "git" }],
  })
  await rig.write("a.json", text.slice(0, 40))
  await until("the half is a fault", () => rig.faults("a.json"))
  expect((await rig.record("a"))?.pipeline.description).toBe("first")
  await rig.write("a.json", text)
  await rig.serves("a", "second")
  await until("the fault is gone", async () => (await rig.faults("a.json")) === undefined)
})

test("a bad file keeps the good version, says where it is wrong, and is mended", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  const loader = await rig.start()
  await rig.write("a.yaml", broken)
  const faults = await until("there is a fault", () => rig.faults("a.yaml"))
  expect(faults).toMatchObject({
    file: "a.yaml",
    names: ["a"],
    faults: [{ file: "a.yaml", line: 4, column: 5, path: "/steps/0/drver", nearest: "driver" }],
  })
  await until("it is said", () => rig.said.some((line) => line.startsWith("a.yaml:4:5: Unknown field")))
  expect(loader.faults()).toHaveLength(1)
  expect((await rig.record("a"))?.pipeline.description).toBe("first")
  await rig.write("a.yaml", pipelineText("a", "mended"))
  await rig.serves("a", "mended")
  await until("the fault is gone", async () => (await rig.faults("a.yaml")) === undefined)
  expect(rig.said.filter((line) => line.startsWith("a.yaml:4:5"))).toHaveLength(1)
})

test("a file with one bad document is refused whole", async () => {
  await using rig = await loaderRig()
  await rig.write("two.yaml", `${pipelineText("a")}---\n${pipelineText("b")}`)
  await rig.start()
  await rig.write("two.yaml", `${pipelineText("a", "second")}---\n${broken}`)
  await until("there is a fault", () => rig.faults("two.yaml"))
  expect((await rig.record("a"))?.pipeline.description).toBe("first")
  expect((await rig.record("b"))?.pipeline.description).toBe("first")
})

test("an emptied file and an unreadable one keep what they declared", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.write("b.yaml", pipelineText("b"))
  await rig.start()
  await rig.write("a.yaml", "# nothing\n")
  await rm(join(rig.folder, "b.yaml"))
  await symlink("nowhere", join(rig.folder, "b.yaml"))
  const faults = await until("both are faults", async () => {
    const both = [await rig.faults("a.yaml"), await rig.faults("b.yaml")]
    return both.every((one) => one !== undefined) && both
  })
  expect(faults.map((one) => one?.names)).toEqual([["a"], ["b"]])
  expect(await rig.record("a")).toBeDefined()
  expect(await rig.record("b")).toBeDefined()
})

test("what a deleted file or a deleted document declared is deleted", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.write("two.yaml", `${pipelineText("b")}---\n${pipelineText("c")}`)
  await rig.start()
  await rm(join(rig.folder, "a.yaml"))
  await rig.serves("a", undefined)
  await rig.write("two.yaml", pipelineText("b"))
  await rig.serves("c", undefined)
  expect(await rig.record("b")).toBeDefined()
})

test("a renamed file goes on owning what it declares, without a moment in which it is gone", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.start()
  const before = await rig.record("a")
  await rename(join(rig.folder, "a.yaml"), join(rig.folder, "z.yaml"))
  await until("the new file owns it", async () => (await rig.record("a"))?.file === "z.yaml")
  expect(await rig.record("a")).toMatchObject({ hash: before?.hash, createdAt: before?.createdAt })
  const entry = await rig.store.get(pipelineKey("a"))
  expect(entry?.createRevision).toBeLessThan(entry?.modRevision ?? 0)
})

test("a name that two files declare stays with the first, and goes to the other when the first is deleted", async () => {
  await using rig = await loaderRig()
  await rig.write("m.yaml", pipelineText("a"))
  await rig.start()
  await rig.write("b.yaml", pipelineText("a", "other"))
  const faults = await until("the second is refused", () => rig.faults("b.yaml"))
  expect(faults.faults[0]?.message).toBe('The pipeline "a" is already declared in m.yaml:1:7')
  expect((await rig.record("a"))?.file).toBe("m.yaml")
  await rm(join(rig.folder, "m.yaml"))
  await rig.serves("a", "other")
  expect((await rig.record("a"))?.file).toBe("b.yaml")
  await until("the fault is gone", async () => (await rig.faults("b.yaml")) === undefined)
})

test("a missing folder deletes nothing and is said once; a new one in its place is heard", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.start()
  await rename(rig.folder, `${rig.folder}.away`)
  await until("it is said", () => rig.said.some((line) => line.includes("is not there")))
  expect(await rig.record("a")).toBeDefined()
  await mkdir(rig.folder)
  await rig.write("b.yaml", pipelineText("b"))
  await rig.serves("b", "first")
  await rig.serves("a", undefined)
  await rig.write("b.yaml", pipelineText("b", "second"))
  await rig.serves("b", "second")
  expect(rig.said.filter((line) => line.includes("is not there"))).toHaveLength(1)
})

test("500 files at once are all in the store, and all go at once", async () => {
  await using rig = await loaderRig()
  await rig.start()
  const names = Array.from({ length: 500 }, (_, n) => `p${n}`)
  await Promise.all(names.map((name) => writeFile(join(rig.folder, `${name}.yaml`), pipelineText(name))))
  const count = async () => (await rig.store.list(prefixes.pipelines)).entries.length
  await until("all are there", async () => (await count()) === 500)
  await Promise.all(names.map((name) => rm(join(rig.folder, `${name}.yaml`))))
  await until("all are gone", async () => (await count()) === 0)
  expect((await rig.store.list(prefixes.hostFiles)).entries).toEqual([])
})

test("unchanged content writes nothing, neither when touched nor at the next start", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.write("k.yaml", "kind: ResourceDefinition\nname: app\nschema: true\n")
  await rig.write("bad.yaml", broken)
  const first = await rig.start()
  const before = await rig.records()
  await rig.write("a.yaml", `# A comment says nothing.\n${pipelineText("a")}`)
  await rig.write("marker.yaml", pipelineText("marker"))
  await rig.serves("marker", "first")
  const after = { ...before, [pipelineKey("marker")]: expect.any(Number) }
  expect(await rig.records()).toEqual(after)
  await first[Symbol.asyncDispose]()
  const second = await rig.start()
  expect(second.pipelines).toBe(2)
  expect(await rig.records()).toEqual(after)
})

test("what was deleted while no loader ran is deleted at the start", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  const first = await rig.start()
  await first[Symbol.asyncDispose]()
  await rm(join(rig.folder, "a.yaml"))
  await rig.start()
  expect(await rig.record("a")).toBeUndefined()
})

test("what was edited while no loader ran is written at the start", async () => {
  await using rig = await loaderRig()
  await rig.write("a.yaml", pipelineText("a"))
  const first = await rig.start()
  await first[Symbol.asyncDispose]()
  await rig.write("a.yaml", pipelineText("a", "second"))
  await rig.start()
  expect((await rig.record("a"))?.pipeline.description).toBe("second")
  // A store of its own needs no memory: the folder is the truth.
  expect(await Bun.file(rig.memory).exists()).toBe(false)
})

test("a file takes over a pipeline that came through the API, and says so", async () => {
  await using rig = await loaderRig()
  const stored = { pipeline: {}, hash: "none", createdAt: "2026-01-01T00:00:00.000Z", updatedAt: "" }
  await rig.store.commit([], [{ type: "put", key: pipelineKey("a"), value: JSON.stringify(stored) }])
  await rig.store.commit([], [{ type: "put", key: pipelineKey("free"), value: JSON.stringify(stored) }])
  await rig.write("a.yaml", pipelineText("a"))
  await rig.start()
  expect(await rig.record("a")).toMatchObject({ file: "a.yaml", createdAt: stored.createdAt })
  expect(rig.said).toContain('a.yaml takes over the pipeline "a", which came through the API')
  expect(await rig.record("free")).toMatchObject({ hash: "none" })
})

test("one file written all the time does not keep back another", async () => {
  await using rig = await loaderRig()
  await rig.start()
  let isWriting = true
  const writing = (async () => {
    for (let n = 0; isWriting; n++) await rig.write("busy.yaml", pipelineText("busy", `${n}`))
  })()
  await rig.write("a.yaml", pipelineText("a"))
  await rig.serves("a", "first")
  isWriting = false
  await writing
})

test("a store that does not answer is said once, and what it missed is made good", async () => {
  await using rig = await loaderRig()
  let isDown = false
  let refused = 0
  await rig.start({
    ...rig.store,
    list: (prefix, options) => rig.store.list(prefix, options),
    get: (key) => rig.store.get(key),
    async commit(guards, writes) {
      if (!isDown) return rig.store.commit(guards, writes)
      refused++
      throw new ConveyorError("STORE_UNAVAILABLE", "The store is down")
    },
  })
  isDown = true
  await rig.write("a.yaml", pipelineText("a"))
  await until("it was refused", () => refused > 0)
  await rig.write("b.yaml", pipelineText("b"))
  await until("it was refused again", () => refused > 1)
  isDown = false
  await rig.serves("a", "first")
  await rig.serves("b", "first")
  expect(rig.said.filter((line) => line.includes("The store is down"))).toHaveLength(1)
})

test("a plan that others interfere with is made anew", async () => {
  await using rig = await loaderRig()
  const stored = { pipeline: {}, hash: "none", createdAt: "2026-01-01T00:00:00.000Z", updatedAt: "" }
  const interfere = () =>
    rig.store.commit([], [{ type: "put", key: pipelineKey("a"), value: JSON.stringify(stored) }])
  let interfered = 0
  await rig.write("a.yaml", pipelineText("a"))
  await rig.start({
    ...rig.store,
    list: (prefix, options) => rig.store.list(prefix, options),
    get: (key) => rig.store.get(key),
    async commit(guards, writes) {
      if (interfered++ < 3) await interfere()
      return rig.store.commit(guards, writes)
    },
  })
  expect(await rig.record("a")).toMatchObject({ file: "a.yaml", createdAt: stored.createdAt })
  expect(interfered).toBe(4)
})
