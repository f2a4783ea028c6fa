import { expect, test } from "bun:test"
import { mkdir, readdir, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { loadInputs } from "../../src/drivers/load-inputs.ts"
import { shippedNames } from "../../src/drivers/shipped.ts"
import { tempFolder } from "../rig/temp-folder.ts"

const valibot = JSON.stringify(Bun.resolveSync("valibot", import.meta.dir))
const ship = `import * as v from ${valibot}
const input = v.strictObject({ target: v.string() })
export default { name: "ship", input, reconcile() {} }`

async function driversFolder(files: Readonly<Record<string, string>>) {
  const folder = await tempFolder()
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder.path, file), text)
  return folder
}

test("the drivers of a folder are known by the names they give themselves, with what they take", async () => {
  await using folder = await driversFolder({
    "deploy.ts": ship,
    "plain.js": "export default { reconcile() {} }",
    "git.ts": `${ship.replace('"ship"', '"git"')}`,
  })
  const { names, inputs, faults } = await loadInputs(folder.path)
  expect(names).toEqual([...(await shippedNames()), "plain", "ship"].sort())
  expect(inputs.map(({ name, isCertain }) => [name, isCertain])).toEqual([
    ["archive", true],
    ["git", false],
    ["http", true],
    ["shell", true],
    ["ship", false],
  ])
  expect(inputs.at(-1)?.inputSchema).toMatchObject({ required: ["target"], additionalProperties: false })
  expect(faults).toEqual([])
  expect((await readdir(folder.path)).sort()).toEqual(["deploy.ts", "git.ts", "plain.js"])
})

test("a driver that hangs while it loads holds nothing up and leaves nothing behind, and the others are known", async () => {
  await using folder = await tempFolder()
  const drivers = join(folder.path, "drivers")
  await mkdir(drivers)
  const pidFile = join(folder.path, "pid")
  const command = JSON.stringify(["sh", "-c", `echo $$ > ${pidFile}; exec sleep 600`])
  await writeFile(join(drivers, "hang.ts"), `Bun.spawn(${command})\nwhile (true) {}\nexport default {}\n`)
  await writeFile(join(drivers, "broken.ts"), "throw new Error('no luck')\n")
  const before = await leftovers()
  const { names, inputs, faults } = await loadInputs(drivers, { loadMsMax: 4_000 })
  expect(names).toEqual(["archive", "broken", "git", "hang", "http", "shell"])
  expect(inputs.map(({ name }) => name)).toEqual([...(await shippedNames())])
  expect(faults).toEqual([
    { message: "The file throws when it is loaded: no luck", file: "broken.ts" },
    { message: "The file does not finish loading within 4 s", file: "hang.ts" },
  ])
  const pid = Number(await Bun.file(pidFile).text())
  expect(pid).toBeGreaterThan(0)
  expect(await commandOf(pid)).toBe("")
  expect((await leftovers()).filter((name) => !before.includes(name))).toEqual([])
}, 30_000)

/** What a process runs; nothing for one that is gone, or dead and not yet taken note of by its parent. */
function commandOf(pid: number): Promise<string> {
  return Bun.file(`/proc/${pid}/cmdline`)
    .text()
    .catch(() => "")
}

async function leftovers(): Promise<readonly string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith("conveyor-drivers-"))
}
