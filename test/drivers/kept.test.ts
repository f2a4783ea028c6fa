import { expect, test } from "bun:test"
import { join } from "node:path"
import { createDriverHost } from "../../src/drivers/create-driver-host.ts"
import { shopAttempt } from "../rig/shop.ts"
import { tempFolder } from "../rig/temp-folder.ts"

async function write(folder: string, file: string, text: string): Promise<void> {
  await Bun.write(join(folder, file), text)
}

const answering = (answer: string) =>
  `export default { reconcile: () => ({ success: true, message: "${answer}" }) }`

async function hostOn(folders: { path: string }) {
  const host = createDriverHost({ folder: join(folders.path, "drivers"), data: join(folders.path, "data") })
  await host.start()
  return host
}

function attemptOf(name: string, hash: string, workspace: string) {
  return {
    driver: { name, hash },
    ...shopAttempt,
    token: hash,
    workspace,
    signal: new AbortController().signal,
    killSignal: new AbortController().signal,
    log: async () => {},
  }
}

test("code that served before a restart can be run after it, though its file has changed", async () => {
  await using folders = await tempFolder()
  await write(join(folders.path, "drivers"), "greet.ts", answering("old"))
  let hash: string
  {
    await using host = await hostOn(folders)
    hash = host.find("greet")?.hash ?? ""
  }
  await write(join(folders.path, "drivers"), "greet.ts", answering("new"))
  await using host = await hostOn(folders)
  expect(host.find("greet")?.hash).not.toBe(hash)
  expect(host.canRun(hash)).toBe(true)
  expect((await host.run(attemptOf("greet", hash, folders.path))).message).toBe("old")
})

test("code of another host can be adopted, and serves no name", async () => {
  await using there = await tempFolder()
  await using here = await tempFolder()
  await write(join(there.path, "drivers"), "greet.ts", answering("from afar"))
  await using owner = await hostOn(there)
  await using adopter = await hostOn(here)
  const hash = owner.find("greet")?.hash ?? ""
  const text = (await owner.bundleOf(hash)) ?? ""
  expect(adopter.canRun(hash)).toBe(false)
  await adopter.adopt(hash, text)
  expect(adopter.find("greet")).toBeUndefined()
  expect((await adopter.run(attemptOf("greet", hash, here.path))).message).toBe("from afar")
})

test("code that is not what its hash says is refused", async () => {
  await using folders = await tempFolder()
  await using host = await hostOn(folders)
  const hash = "0".repeat(64)
  expect(host.adopt(hash, answering("forged"))).rejects.toThrow("is not what the hash says")
  expect(host.canRun(hash)).toBe(false)
})

test("an executable that was replaced is still run as it was, after a restart too", async () => {
  await using folders = await tempFolder()
  const file = join(folders.path, "drivers", "greet")
  const script = (message: string) => `#!/bin/sh\necho '{"success": true, "message": "${message}"}'\n`
  await Bun.write(file, script("old"), { mode: 0o755 })
  await Bun.$`chmod +x ${file}`.quiet()
  let hash: string
  {
    await using host = await hostOn(folders)
    hash = host.find("greet")?.hash ?? ""
  }
  await Bun.write(file, script("new"))
  await using host = await hostOn(folders)
  expect((await host.run(attemptOf("greet", hash, folders.path))).message).toBe("old")
  expect(await host.bundleOf(hash)).toBeUndefined()
})
