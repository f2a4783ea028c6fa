import { expect, test } from "bun:test"
import { rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { createDriverHost } from "../../src/drivers/create-driver-host.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"
import { openDrivers } from "./driver-rig.ts"

const says = (message: string): string =>
  `export default { reconcile: () => ({ success: true, message: ${JSON.stringify(message)} }) }`

test("a driver's name is the one it names, or its file's", async () => {
  await using drivers = await openDrivers({
    "a.ts": `import { defineDriver } from "conveyor"\nexport default defineDriver({ name: "named", resources: ["app", "*"], reconcile() {} })`,
    "b.mjs": "export default { resources: ['app'], reconcile() {} }",
    "c.cjs": "module.exports = { reconcile() {} }",
    "d.d.ts": "export declare const x: number",
    "e.test.ts": "throw 1",
    "lib/f.ts": "export const x = 1",
    "notes.txt": "text",
  })
  const own = drivers.host.list().filter(({ source }) => source !== "builtin")
  expect(own.map(({ name, source, type, resources }) => ({ name, source, type, resources }))).toEqual([
    { name: "b", source: "b.mjs", type: "module", resources: ["app"] },
    { name: "c", source: "c.cjs", type: "module", resources: [] },
    { name: "named", source: "a.ts", type: "module", resources: ["app", "*"] },
  ])
  expect(drivers.host.listening("app").map(({ name }) => name)).toEqual(["b", "named"])
  expect(drivers.host.listening("other").map(({ name }) => name)).toEqual(["named"])
  expect(drivers.host.faults()).toEqual([])
})

test("a script that may not be executed is no driver, and is said to lack only that", async () => {
  const script = "#!/bin/sh\necho counted >&2\n"
  await using drivers = await openDrivers({ "count.sh": script, "lib/part.sh": script, "notes.txt": "text" })
  expect(drivers.host.faults()).toEqual([
    {
      message: "It begins with #! but may not be executed; chmod +x count.sh makes it a driver",
      file: "count.sh",
      severity: "warning",
    },
  ])
  await drivers.write("count.sh", script, 0o755)
  await until("it is a driver", () => drivers.host.list().some(({ name }) => name === "count"))
  expect(drivers.host.faults()).toEqual([])
})

test("the hash of a driver is its content's, wherever the folder lies", async () => {
  const text = `import { x } from "./lib/x.ts"\nimport { defineDriver } from "conveyor"\nexport default defineDriver({ name: "d" + x, reconcile() {} })`
  await using one = await openDrivers({ "d.ts": text, "lib/x.ts": "export const x = 1" })
  await using other = await openDrivers({ "d.ts": text, "lib/x.ts": "export const x = 1" })
  await using different = await openDrivers({ "d.ts": text, "lib/x.ts": "export const x = 1.0 + 0" })
  expect(one.hashOf("d1")).toBe(other.hashOf("d1"))
  expect(different.hashOf("d1")).not.toBe(one.hashOf("d1"))
})

test("a changed driver serves new attempts, and the attempt under way ends on the old one", async () => {
  await using drivers = await openDrivers({
    "d.js": `export default { async reconcile(ctx) { ctx.log("old"); while (!(await Bun.file(ctx.workspace + "/go").exists())) await Bun.sleep(2); return { success: true, message: "old" } } }`,
  })
  const old = drivers.attempt("d")
  await old.line("old")
  const oldHash = drivers.hashOf("d")
  await drivers.write("d.js", says("new"))
  await until("the new driver serves", () => drivers.hashOf("d") !== oldHash)
  expect((await drivers.run("d")).message).toBe("new")
  await Bun.write(join(old.workspace, "go"), "")
  expect(await old.result).toEqual({ success: true, message: "old" })
  // A hash that was answered stays runnable.
  const late = drivers.attempt("d", { driver: { name: "d", hash: oldHash } })
  await Bun.write(join(late.workspace, "go"), "")
  expect((await late.result).message).toBe("old")
})

test("a syntax error keeps the last good driver and is published with its place", async () => {
  await using drivers = await openDrivers({ "d.js": says("good") })
  await drivers.write("d.js", "export default {\n  reconcile() {\n    return )\n  }\n}")
  const [fault] = await until("the fault is there", () => {
    const faults = drivers.host.faults()
    return faults.length > 0 && faults
  })
  expect(fault).toMatchObject({ file: "d.js", line: 3, column: 12 })
  expect((await drivers.run("d")).message).toBe("good")
  await drivers.write("d.js", says("mended"))
  await until("the fault is gone", () => drivers.host.faults().length === 0)
  expect((await drivers.run("d")).message).toBe("mended")
})

test("a fault in an imported file names that file", async () => {
  await using drivers = await openDrivers({
    "d.ts": `import { x } from "./lib/x.ts"\nexport default { reconcile: () => x }`,
    "lib/x.ts": "export const x = ;",
  })
  expect(drivers.host.faults()).toMatchObject([{ file: "lib/x.ts", line: 1, column: 18 }])
})

test("a change of an imported file reloads the driver", async () => {
  await using drivers = await openDrivers({
    "d.ts": `import { word } from "./lib/word.ts"\nexport default { reconcile: () => ({ success: true, message: word }) }`,
    "lib/word.ts": `export const word = "one"`,
  })
  expect((await drivers.run("d")).message).toBe("one")
  const hash = drivers.hashOf("d")
  await drivers.write("lib/word.ts", `export const word = "two"`)
  await until("it was reloaded", () => drivers.hashOf("d") !== hash)
  expect((await drivers.run("d")).message).toBe("two")
})

test("a change of content that is none keeps the hash and tells nobody", async () => {
  await using drivers = await openDrivers({ "d.js": says("same") })
  let changes = 0
  drivers.host.onChange(() => changes++)
  // Written in place, a file is empty for a moment, which a busy machine may see: that is a change.
  for (const [name, message] of [
    ["d.js", "same"],
    ["z.js", "a marker that is seen later"],
  ] as const) {
    await Bun.write(join(drivers.folder, ".unfinished"), says(message))
    await rename(join(drivers.folder, ".unfinished"), join(drivers.folder, name))
  }
  await until("the marker is there", () => drivers.host.find("z"))
  expect(changes).toBe(1)
})

test("a file renamed over a driver replaces it", async () => {
  await using drivers = await openDrivers({ "d.js": says("one") })
  await Bun.write(join(drivers.folder, ".d.unfinished"), says("two"))
  await rename(join(drivers.folder, ".d.unfinished"), join(drivers.folder, "d.js"))
  await until("the new one serves", async () => (await drivers.run("d")).message === "two")
})

test("a folder that is deleted and made again is still watched", async () => {
  await using drivers = await openDrivers({ "d.js": says("one") })
  await rm(drivers.folder, { recursive: true })
  await until("the driver is gone", () => drivers.host.find("d") === undefined)
  await drivers.write("e.js", says("again"))
  await until("the new one is there", () => drivers.host.find("e"))
  await drivers.write("f.js", says("and later"))
  await until("a later one is there", () => drivers.host.find("f"))
})

test("a file without a driver, and one that throws when it is loaded, are faults", async () => {
  await using drivers = await openDrivers({
    "empty.ts": "export const x = 1",
    "throws.ts": `throw new Error("no token")`,
    "-.js": says("x"),
    "schema.js": "export default { input: 5, reconcile() {} }",
    "good.js": says("x"),
  })
  expect(drivers.host.faults().map(({ file, message }) => [file, message.split(/[;:]/, 1)[0]])).toEqual([
    ["-.js", '"-" cannot be a driver\'s name'],
    ["empty.ts", "The file exports no driver"],
    ["schema.js", "The driver's `input` must be a Standard Schema (valibot, zod, arktype, …)"],
    ["throws.ts", "The file throws when it is loaded"],
  ])
  expect((await drivers.run("good")).success).toBe(true)
})

test("of two files with the same name the first keeps serving", async () => {
  await using drivers = await openDrivers({
    "b.js": `export default { name: "same", reconcile: () => ({ success: true, message: "b" }) }`,
  })
  await drivers.write(
    "a.js",
    `export default { name: "same", reconcile: () => ({ success: true, message: "a" }) }`,
  )
  await until("the fault is there", () => drivers.host.faults().length > 0)
  expect(drivers.host.faults()).toEqual([
    { message: 'The name "same" is already used by b.js, which goes on serving', file: "a.js" },
  ])
  expect((await drivers.run("same")).message).toBe("b")
  await rm(join(drivers.folder, "b.js"))
  await until("the other serves", () => drivers.host.find("same")?.source === "a.js")
  expect(drivers.host.faults()).toEqual([])
})

test("a file overrides the shipped driver of its name until it is deleted", async () => {
  await using drivers = await openDrivers({ "shell.js": says("mine") })
  expect((await drivers.run("shell", { run: "true" })).message).toBe("mine")
  await rm(join(drivers.folder, "shell.js"))
  await until("the shipped one serves", () => drivers.host.find("shell")?.source === "builtin")
  expect((await drivers.run("shell", { run: "true" })).message).toBe('"true"')
})

test("a folder with a module driver gets the types of the module conveyor, another one is left alone", async () => {
  await using drivers = await openDrivers({ "d.js": says("x") })
  const types = await Bun.file(join(drivers.folder, "node_modules/conveyor/index.ts")).text()
  expect(types).toContain("export function defineDriver")
  await using none = await openDrivers({ helper: "#!/bin/sh\n", "colours.ts": "export const red = 1" })
  const late = Bun.file(join(none.folder, "node_modules/conveyor/index.ts"))
  expect(await late.exists()).toBe(false)
  await none.write("d.js", says("x"))
  await until("it has them with its first driver", () => late.exists())
})

test("what is wrong with a driver is said in the log once", async () => {
  await using temp = await tempFolder()
  const folder = join(temp.path, "drivers")
  await Bun.write(join(folder, "d.js"), "export default {")
  const said: string[] = []
  const log = {
    error: (_fields: object, message: string) => void said.push(message),
    warn: (_fields: object, message: string) => void said.push(`warning: ${message}`),
  }
  await using host = createDriverHost({ folder, data: join(temp.path, "data"), log })
  await host.start()
  expect(said).toEqual([expect.stringMatching(/^d\.js:1:\d+: /)])
  await Bun.write(join(folder, "other.js"), says("x"))
  await until("the other driver serves", () => host.find("other") !== undefined)
  expect(said).toHaveLength(1)
  await Bun.write(join(folder, "count.sh"), "#!/bin/sh\n")
  await until("the script that is no driver is said", () => said.length > 1)
  expect(said.slice(1)).toEqual([expect.stringMatching(/^warning: count\.sh: .*chmod \+x/)])
})

test("a hash that no driver has fails its attempt", async () => {
  await using drivers = await openDrivers()
  const { result } = drivers.attempt("shell", { driver: { name: "shell", hash: "0".repeat(64) } })
  expect(await result).toMatchObject({
    success: false,
    message: expect.stringContaining("This host has no driver"),
  })
})
