import { expect, test } from "bun:test"
import { join } from "node:path"
import { ConveyorError } from "../../src/errors.ts"
import { lockFolder } from "../../src/store/folder-lock.ts"
import { tempFolder } from "../rig/temp-folder.ts"

const lockModule = join(import.meta.dir, "../../src/store/folder-lock.ts")

/** The code and message of what locking the folder throws; undefined when it is free, and is freed again. */
function refusal(folder: string): string | undefined {
  try {
    lockFolder(folder)[Symbol.dispose]()
    return undefined
  } catch (error) {
    if (error instanceof ConveyorError) return `${error.code}: ${error.message}`
    throw error
  }
}

/** A process that holds the folder; resolves once it does. */
async function holder(folder: string) {
  const script = `
    const { lockFolder } = await import(${JSON.stringify(lockModule)})
    globalThis.held = lockFolder(${JSON.stringify(folder)})
    console.log("held")
    setInterval(() => {}, 60_000)`
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" })
  const { value } = await child.stdout.getReader().read()
  expect(new TextDecoder().decode(value)).toBe("held\n")
  return child
}

test("a folder that another process holds is refused by its name, until that process is killed", async () => {
  await using folder = await tempFolder()
  const child = await holder(folder.path)
  try {
    expect(refusal(folder.path)).toBe(`DATA_IN_USE: Another process uses the data folder ${folder.path}`)
  } finally {
    child.kill("SIGKILL")
    await child.exited
  }
  expect(refusal(folder.path)).toBeUndefined()
})

test("a folder is held once, also within one process, and free when it is let go", async () => {
  await using folder = await tempFolder()
  {
    using _ = lockFolder(folder.path)
    expect(refusal(folder.path)).toStartWith("DATA_IN_USE")
  }
  expect(refusal(folder.path)).toBeUndefined()
})

test("a folder that is not there is an error that says so", async () => {
  await using folder = await tempFolder()
  expect(refusal(join(folder.path, "none"))).toStartWith("STORE_UNAVAILABLE")
})
