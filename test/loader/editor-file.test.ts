import { expect, test } from "bun:test"
import { mkdir, readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { createEditorFile, editorFileName } from "../../src/loader/editor-file.ts"
import type { EditorDriver } from "../../src/loader/editor-schema.ts"
import { isDeclaring } from "../../src/loader/folder-listing.ts"
import { tempFolder } from "../rig/temp-folder.ts"

const shell: EditorDriver = { name: "shell", inputSchema: { type: "object" } }

/** An editor file in a folder of its own, made of the drivers a test puts there. */
async function openFile({ missing = false } = {}) {
  const temp = await tempFolder()
  const folder = missing ? join(temp.path, "pipelines") : temp.path
  const drivers: EditorDriver[] = [shell]
  const warnings: string[] = []
  const open = () =>
    createEditorFile({ folder, drivers: () => drivers, log: { warn: (message) => warnings.push(message) } })
  return {
    folder,
    path: join(folder, editorFileName),
    drivers,
    warnings,
    /** Updates it, and waits until that is done. */
    async update(times = 1) {
      await using file = open()
      for (let n = 0; n < times; n++) file.update()
    },
    [Symbol.asyncDispose]: () => temp[Symbol.asyncDispose](),
  }
}

test("the schema names the drivers there are, and is no pipeline", async () => {
  await using editor = await openFile()
  await editor.update()
  const { definitions } = await Bun.file(editor.path).json()
  expect(definitions.driver.anyOf[0]).toEqual({ enum: ["shell"] })
  expect(isDeclaring(editorFileName)).toBe(false)
  expect(await readdir(editor.folder)).toEqual([editorFileName])
})

test("the file is written again when its content changes, and only then", async () => {
  await using editor = await openFile()
  await editor.update()
  const first = await stat(editor.path)
  await editor.update(3)
  expect((await stat(editor.path)).ino).toBe(first.ino)
  editor.drivers.push({ name: "deploy" })
  await editor.update(3)
  expect(await Bun.file(editor.path).text()).toContain("deploy")
  expect(await readdir(editor.folder)).toEqual([editorFileName])
})

test("a folder that is missing is not made, and that is no trouble", async () => {
  await using editor = await openFile({ missing: true })
  await editor.update()
  expect(await Bun.file(editor.path).exists()).toBe(false)
  await mkdir(editor.folder)
  await editor.update()
  expect(await Bun.file(editor.path).exists()).toBe(true)
  expect(editor.warnings).toEqual([])
})

test("a file that cannot be written is one warning, and leaves nothing behind", async () => {
  await using editor = await openFile()
  await mkdir(join(editor.path, "in the way"), { recursive: true })
  await editor.update(3)
  expect(editor.warnings).toEqual([expect.stringContaining("The schema for editors cannot be written: ")])
  expect(await readdir(editor.folder)).toEqual([editorFileName])
})
