import { expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { createDriverHost } from "../../src/drivers/create-driver-host.ts"
import { shopAttempt } from "../rig/shop.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

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
  await expect(host.adopt(hash, answering("forged"))).rejects.toThrow("is not what the hash says")
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

test("code that serves no more can be deleted, and serves again when its file says so again", async () => {
  await using folders = await tempFolder()
  const drivers = join(folders.path, "drivers")
  await write(drivers, "greet.ts", answering("old"))
  await using host = await hostOn(folders)
  const old = host.find("greet")?.hash ?? ""
  expect(await host.unserved()).toEqual([])
  await write(drivers, "greet.ts", answering("new"))
  await until("the new code serves", () => host.find("greet")?.hash !== old)
  expect(await host.unserved()).toEqual([old])
  expect(await host.forget(old)).toBe(true)
  expect(await readdir(join(folders.path, "data", "drivers"))).toEqual([`${host.find("greet")?.hash}.js`])
  expect(host.canRun(old)).toBe(false)

  await write(drivers, "greet.ts", answering("old"))
  await until("the old code serves", () => host.find("greet")?.hash === old)
  expect(host.canRun(old)).toBe(true)
  expect(await host.forget(old)).toBe(false)
  expect((await host.run(attemptOf("greet", old, folders.path))).message).toBe("old")
})

test("code that runs an attempt is not deleted", async () => {
  await using folders = await tempFolder()
  const drivers = join(folders.path, "drivers")
  await write(
    drivers,
    "greet.ts",
    "export default { reconcile: (ctx) => new Promise(() => ctx.log(`begun`)) }",
  )
  await using host = await hostOn(folders)
  const old = host.find("greet")?.hash ?? ""
  const begun = Promise.withResolvers<void>()
  const attempt = host.run({
    ...attemptOf("greet", old, folders.path),
    log: async () => begun.resolve(),
  })
  await begun.promise
  await write(drivers, "greet.ts", answering("new"))
  await until("the new code serves", () => host.find("greet")?.hash !== old)
  expect(await host.unserved()).toEqual([])
  expect(await host.forget(old)).toBe(false)
  await host[Symbol.asyncDispose]()
  expect((await attempt).message).toBe("The host is stopping")
})

test("what a host that was killed had not finished writing is deleted at the next start", async () => {
  await using folders = await tempFolder()
  const kept = join(folders.path, "data", "drivers")
  const hash = "0".repeat(64)
  await write(kept, `${hash}.js.${Bun.randomUUIDv7()}`, "half of i")
  await write(kept, `${hash}/greet.${Bun.randomUUIDv7()}`, "half of i")
  await using host = await hostOn(folders)
  expect(host.canRun(hash)).toBe(false)
  expect(await readdir(kept)).toEqual([hash])
  expect(await readdir(join(kept, hash))).toEqual([])
})
