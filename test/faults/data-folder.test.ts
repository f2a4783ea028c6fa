import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { copyFile, mkdir, readFile, rename, rm, truncate } from "node:fs/promises"
import { join } from "node:path"
import { openSqlite } from "../../src/store/sqlite.ts"
import { buildExecutable, runToEnd } from "../rig/executable.ts"
import { folderOf, serveWith, shellPipeline, waitForGate } from "../rig/host-process.ts"
import { boundFolder, mayMount } from "../rig/own-mounts.ts"
import { until } from "../rig/until.ts"

/* The executable with a data folder that cannot be written, or whose store is not what the host has left there. */

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

const pipelines = {
  "pipelines/gate.json": shellPipeline("gate", waitForGate),
  "pipelines/greet.json": shellPipeline("greet", "echo hello"),
}

/** A folder with a data folder in it, and what starts a host there. */
async function houseOf() {
  const folder = await folderOf(pipelines)
  const data = join(folder.path, "data")
  await mkdir(data)
  const args = ["--data", data, "--grace", "1s"]
  return {
    folder: folder.path,
    data,
    store: join(data, "conveyor.sqlite"),
    start: () => serveWith([executable.path], { cwd: folder.path, args }),
    /** A start that is to be refused. */
    refused: () => runToEnd([executable.path, "serve", "--port", "0", ...args], { cwd: folder.path }),
    args,
    [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
  }
}

describe.if(mayMount)("a data folder that is read-only", () => {
  test("is refused at the start, by name", async () => {
    await using house = await houseOf()
    await using mounts = await boundFolder(house.data)
    await mounts.run("mount", "-o", "remount,bind,ro", house.data)
    const command = [...mounts.enter(house.folder), executable.path, "serve", "--port", "0", ...house.args]
    const refused = await runToEnd(command, { cwd: house.folder })
    expect(refused.exit).toBe(3)
    expect(refused.stderr).toMatch(/^conveyor: .*\n$/)
    expect(refused.stderr).toContain(house.data)
  })

  test("that becomes so while the host runs fails attempts that cannot log, by name, and mends by itself", async () => {
    await using house = await houseOf()
    await using mounts = await boundFolder(house.data)
    const enter = [...mounts.enter(house.folder), executable.path]
    await using host = await serveWith(enter, { cwd: house.folder, args: house.args })
    expect((await host.ended(await host.submit("greet"))).status).toBe("succeeded")
    // Over the folder lies the same one, read-only: what is open stays so, and nothing can be opened to be written.
    await mounts.run("mount", "--bind", "-o", "ro", house.data, house.data)
    const failed = await host.ended(await host.submit("greet"))
    expect(failed.status).toBe("failed")
    expect(failed.message).toContain(house.data)
    expect(failed.message).toMatch(/read-only file system|EROFS/i)
    expect((await host.ask("/health")).status).toBe(200)
    await mounts.run("umount", house.data)
    expect((await host.ended(await host.submit("greet"))).status).toBe("succeeded")
  }, 60_000)
})

/** A data folder that was used: its runs, and the host gone. */
async function usedHouse() {
  const house = await houseOf()
  await using host = await house.start()
  const runs: string[] = []
  for (let n = 0; n < 20; n++) runs.push(await host.submit("greet", { text: "x".repeat(10_000) }))
  for (const runId of runs) await host.ended(runId)
  host.process.kill("SIGTERM")
  expect(await host.process.exited).toBe(0)
  return { ...house, runs }
}

describe("a store whose file, at the start, is", () => {
  test.each<[string, RegExp, (file: string) => Promise<unknown>]>([
    ["deleted", /is gone\. Put it back, or delete conveyor\.sqlite-id beside it/, (file) => rm(file)],
    ["emptied", /is empty\. Put it back/, (file) => truncate(file, 0)],
    ["cut to half", /is truncated|malformed/, (file) => truncate(file, 4_096 * 20)],
    ["cut to a page", /is truncated|malformed/, (file) => truncate(file, 4_096)],
    ["cut by a byte", /is truncated/, async (file) => truncate(file, Bun.file(file).size - 1)],
    [
      "overwritten",
      /cannot be read: file is not a database/,
      (file) => Bun.write(file, "no database".repeat(1_000)),
    ],
    ["another store's", /is another store than the one that was here/, replaceByOther],
  ])(
    "%s is refused by name, and left as it is",
    async (_, message, damage) => {
      await using house = await usedHouse()
      const copy = `${house.store}.copy`
      await copyFile(house.store, copy)
      await damage(house.store)
      const before = await readFile(house.store).catch(() => undefined)
      const refused = await house.refused()
      expect(refused.exit).toBe(3)
      expect(refused.stderr).toMatch(message)
      expect(refused.stderr).toContain(house.store)
      expect(await readFile(house.store).catch(() => undefined)).toEqual(before)

      await rename(copy, house.store)
      await using host = await house.start()
      for (const runId of house.runs) expect((await host.run(runId)).status).toBe("succeeded")
    },
    30_000,
  )

  test("deleted on purpose is begun anew when its id is deleted too", async () => {
    await using house = await usedHouse()
    for (const file of [house.store, `${house.store}-id`]) await rm(file)
    await using host = await house.start()
    expect((await host.ask(`/runs/${house.runs[0]}`)).status).toBe(404)
  })
})

async function replaceByOther(file: string): Promise<void> {
  await using other = await openSqlite(`${file}.other`)
  await other.commit([], [{ type: "put", key: "a", value: "1" }])
  await other[Symbol.asyncDispose]()
  await rename(`${file}.other`, file)
}

describe("a store whose file, while the host runs, is", () => {
  test.each<[string, (file: string) => Promise<unknown>]>([
    ["deleted", (file) => rename(file, `${file}.away`)],
    [
      "replaced",
      async (file) => {
        await copyFile(file, `${file}.copy`)
        await rename(file, `${file}.away`)
        await rename(`${file}.copy`, file)
      },
    ],
  ])(
    "%s takes nothing any more that would be lost, and goes on when it is put back",
    async (what, damage) => {
      await using house = await houseOf()
      await using host = await house.start()
      const gate = join(house.folder, "gate")
      const runId = await host.submit("gate", { gate })
      await until("it runs", async () => (await host.run(runId)).status === "running")
      await damage(house.store)
      const refused = await host.ask("/resources", { name: "new", resource: "app", pipeline: "gate" })
      const message = `${house.store} was ${what} while it was open: nothing is written until it is put back`
      expect(refused).toMatchObject({ status: 503, body: { code: "STORE_CORRUPT", detail: message } })
      expect(await host.ask("/health")).toMatchObject({ status: 503, body: { error: message } })
      await Bun.write(gate, "")
      await until("the host says so", () => host.logged(/while it was open/).length > 0)
      await rename(`${house.store}.away`, house.store)
      expect((await host.ended(runId)).status).toBe("succeeded")
      expect((await host.ended(await host.submit("greet"))).status).toBe("succeeded")
      expect(host.logged(/while it was open/)).toHaveLength(1)
    },
    30_000,
  )

  test("truncated takes nothing any more, and the start after that is refused", async () => {
    await using house = await usedHouse()
    await using host = await house.start()
    await truncate(house.store, 4_096 * 4)
    const refused = await host.ask("/resources", { name: "new", resource: "app", pipeline: "greet" })
    expect(refused).toMatchObject({
      status: 503,
      body: { code: "STORE_CORRUPT", detail: expect.stringContaining(`${house.store} was truncated`) },
    })
    expect((await host.ask("/health")).status).toBe(503)
    host.process.kill("SIGKILL")
    await host.process.exited
    expect(await house.refused()).toMatchObject({ exit: 3, stderr: expect.stringContaining(house.store) })
  }, 30_000)
})
