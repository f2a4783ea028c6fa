import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdir, rename, truncate } from "node:fs/promises"
import { join } from "node:path"
import { buildExecutable, runToEnd } from "../rig/executable.ts"
import { folderOf, serveWith, shellPipeline, waitForGate } from "../rig/host-process.ts"
import { boundFolder } from "../rig/own-mounts.ts"
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

describe("a data folder that is read-only", () => {
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

  test("that becomes so while the host runs stops nothing for good: all goes on when it can be written", async () => {
    await using house = await houseOf()
    await using mounts = await boundFolder(house.data)
    const enter = [...mounts.enter(house.folder), executable.path]
    await using host = await serveWith(enter, { cwd: house.folder, args: house.args })
    const gate = join(house.folder, "gate")
    const runId = await host.submit("gate", { gate })
    await until("it runs", async () => (await host.run(runId)).status === "running")
    await mounts.run("mount", "-o", "remount,bind,ro", house.data)
    expect(await host.ask("/health")).toMatchObject({ status: 200 })
    console.log(await host.ask("/resources", { name: "x", resource: "app", pipeline: "gate" }), host.process.output())
  }, 60_000)
})

test("x", async () => {
    await using house = await houseOf()
    {
      await using host = await house.start()
      await host.ended(await host.submit("greet"))
      host.process.kill("SIGTERM")
      await host.process.exited
    }
    await truncate(house.store, 4096)
    console.log(await house.refused())
    await truncate(house.store, 0)
    console.log(await house.refused())
    await rename(house.store, house.store + ".away")
    console.log(await house.refused())
})
