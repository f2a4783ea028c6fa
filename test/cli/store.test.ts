import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { cp, readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { moveKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { buildExecutable, type Running, runToEnd, start } from "../rig/executable.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"
import { put, write } from "../store/watching.ts"

let executable: Awaited<ReturnType<typeof buildExecutable>>
let etcd: EtcdRig
beforeAll(async () => {
  executable = await buildExecutable()
  etcd = await startEtcd()
}, 120_000)
afterAll(async () => {
  await etcd[Symbol.asyncDispose]()
  await executable[Symbol.asyncDispose]()
})

const conveyor = (cwd: string, ...args: string[]) => runToEnd([executable.path, ...args], { cwd })
const serve = (cwd: string, store: string) =>
  start([executable.path, "serve", "--port", "0", "--grace", "100ms", "--store", store], { cwd })
const etcdStore = (prefix: string) => `etcd://${new URL(etcd.endpoint).host}/${prefix}`

async function listening(host: Running): Promise<string> {
  return (await host.printed(/listening on (http:\S+)/))[1] as string
}

async function stop(host: Running): Promise<void> {
  host.kill("SIGTERM")
  expect(await host.exited).toBe(0)
}

/** A folder with a pipeline whose step goes on until the file `done` is in the folder. */
async function belt() {
  const folder = await tempFolder()
  const done = join(folder.path, "done")
  const run = `touch "${join(folder.path, "begun")}"; until test -e "${done}"; do sleep 0.05; done; echo over`
  const pipeline = {
    name: "long",
    resource: "thing",
    steps: [{ id: "wait", driver: "shell", with: { run } }],
  }
  const definition = { kind: "ResourceDefinition", name: "thing", schema: {} }
  await Bun.write(join(folder.path, "pipelines/long.json"), JSON.stringify(pipeline))
  await Bun.write(join(folder.path, "pipelines/thing.json"), JSON.stringify(definition))
  return { path: folder.path, done, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

/** A folder with a pipeline whose step prints more than its record has room for. */
async function printing() {
  const folder = await tempFolder()
  const steps = [{ id: "print", driver: "shell", with: { run: "seq 20000" } }]
  const pipeline = { name: "print", resource: "thing", steps }
  const definition = { kind: "ResourceDefinition", name: "thing", schema: {} }
  await Bun.write(join(folder.path, "pipelines/print.json"), JSON.stringify(pipeline))
  await Bun.write(join(folder.path, "pipelines/thing.json"), JSON.stringify(definition))
  return folder
}

/** Submits a resource and waits until its run has ended. Answers the run's id. */
async function printedRun(url: string): Promise<string> {
  const body = JSON.stringify({ name: "one", resource: "thing", pipeline: "print" })
  const headers = { "content-type": "application/json" }
  const answer = await fetch(`${url}/resources?wait=30s`, { method: "POST", headers, body })
  const { runid, run } = (await answer.json()) as { runid: string; run: { status: string } }
  expect(run.status).toBe("succeeded")
  return runid
}

/** Submits a resource and waits until its step has begun. Answers the run's id. */
async function beginRun(url: string, folder: string): Promise<string> {
  const body = JSON.stringify({ name: "one", resource: "thing", pipeline: "long" })
  const headers = { "content-type": "application/json" }
  const answer = await fetch(`${url}/resources`, { method: "POST", headers, body })
  expect(answer.status).toBe(201)
  await until("the step has begun", () => Bun.file(join(folder, "begun")).exists())
  return ((await answer.json()) as { runid: string }).runid
}

const statusOf = async (url: string, runId: string, query = "") =>
  ((await (await fetch(`${url}/runs/${runId}${query}`)).json()) as { status: string }).status

describe("a run that had not ended", () => {
  test("goes on after a move from SQLite to etcd, and its end moves back", async () => {
    await using folder = await belt()
    const inEtcd = etcdStore("there")
    await using first = serve(folder.path, "sqlite")
    const runId = await beginRun(await listening(first), folder.path)
    await stop(first)
    const copied = await conveyor(folder.path, "store", "copy", "--to", inEtcd)
    expect(copied).toMatchObject({ exit: 0, stderr: expect.stringMatching(/^copied \d+ entries from /) })
    expect(await conveyor(folder.path, "store", "check", "--store", inEtcd)).toMatchObject({ exit: 0 })

    await using second = serve(folder.path, inEtcd)
    const url = await listening(second)
    expect(await statusOf(url, runId)).toBe("running")
    await Bun.write(folder.done, "")
    expect(await statusOf(url, runId, "?wait=30s")).toBe("succeeded")
    await stop(second)
    const back = ["store", "copy", "--store", inEtcd, "--to", "sqlite:back.sqlite"]
    expect(await conveyor(folder.path, ...back)).toMatchObject({ exit: 0 })

    await using third = serve(folder.path, "sqlite:back.sqlite")
    expect(await statusOf(await listening(third), runId)).toBe("succeeded")
    await stop(third)
  }, 120_000)

  test("goes on after a move from etcd to SQLite by way of a file", async () => {
    await using folder = await belt()
    await using first = serve(folder.path, etcdStore("from"))
    const runId = await beginRun(await listening(first), folder.path)
    await stop(first)
    const out = await conveyor(folder.path, "store", "export", "all.gz", "--store", etcdStore("from"))
    expect(out).toMatchObject({ exit: 0 })
    expect(await conveyor(folder.path, "store", "import", "all.gz")).toMatchObject({ exit: 0 })
    await Bun.write(folder.done, "")
    await using second = serve(folder.path, "sqlite")
    expect(await statusOf(await listening(second), runId, "?wait=30s")).toBe("succeeded")
    await stop(second)
  }, 120_000)
})

describe("large data of results", () => {
  test("stays in its data folder when the store moves, which is said, and is there where that goes too", async () => {
    await using folder = await printing()
    const [here, there] = [join(folder.path, ".conveyor"), join(folder.path, "other")]
    await using first = serve(folder.path, "sqlite")
    const url = await listening(first)
    const runId = await printedRun(url)
    const { hostId } = (await (await fetch(`${url}/health`)).json()) as { hostId: string }
    const dataOf = async (url: string) => await fetch(`${url}/runs/${runId}/steps/print/data`)
    const data = await (await dataOf(url)).text()
    expect(JSON.parse(data).stdout).toEndWith("\n19999\n20000\n")
    await stop(first)

    const left = `not moved: large data of 1 result, which lies in the data folders of ${hostId}\n`
    const out = await conveyor(folder.path, "store", "export", "all.gz")
    const into = await conveyor(folder.path, "store", "import", "all.gz", "--data", "other")
    const copy = await conveyor(folder.path, "store", "copy", "--to", "sqlite:copy.sqlite")
    for (const { exit, stderr } of [out, into, copy]) {
      expect(exit).toBe(0)
      expect(stderr).toMatch(/^(exported|imported|copied) \d+ entries /)
      expect(stderr).toEndWith(left)
    }
    const check = (...more: string[]) => conveyor(folder.path, "store", "check", ...more)
    expect((await check()).stdout).toEndWith("1 run: all well\n")
    expect((await check("--data", "other")).stdout).toEndWith(
      "1 run: all well\nnot looked for: large data of 1 result, which lies in other data folders\n",
    )

    await using second = start([executable.path, "serve", "--port", "0", "--data", "other"], {
      cwd: folder.path,
    })
    const refused = await dataOf(await listening(second))
    expect(refused.status).toBe(503)
    expect(await refused.text()).toContain(`Host ${hostId} has been gone since`)
    await stop(second)
    for (const name of ["results", "folder-id"])
      await cp(join(here, name), join(there, name), { recursive: true })
    await using third = start([executable.path, "serve", "--port", "0", "--data", "other"], {
      cwd: folder.path,
    })
    expect(await (await dataOf(await listening(third))).text()).toBe(data)
    await stop(third)

    await rm(join(here, "results"), { recursive: true })
    const lost = await check()
    expect(lost.exit).toBe(1)
    expect(lost.stdout).toMatch(
      new RegExp(
        `^runs/step/${runId}/print: its data is not there: ${here}/results/${runId}/[0-9a-f]{64}.json\n.*: 1 fault\n$`,
      ),
    )
    expect(await check("--data", "other")).toMatchObject({ exit: 0 })
  }, 60_000)
})

describe("a store that a host runs on", () => {
  test("is not exported, unless it is in etcd and that is forced", async () => {
    await using folder = await belt()
    for (const store of ["sqlite", etcdStore("used")]) {
      await using host = serve(folder.path, store)
      await listening(host)
      const refused = await conveyor(folder.path, "store", "export", "all.jsonl", "--store", store)
      expect(refused).toMatchObject({
        exit: 3,
        stderr: expect.stringMatching(/Another process|Hosts run on/),
      })
      if (store !== "sqlite")
        expect(
          await conveyor(folder.path, "store", "export", "all.jsonl", "--force", "--store", store),
        ).toMatchObject({ exit: 0 })
      await stop(host)
    }
  }, 60_000)
})

describe("a host", () => {
  test("does not start on a store that holds a part of a move", async () => {
    await using folder = await belt()
    const store = await openSqlite(join(folder.path, "part.sqlite"))
    await write(store, put(moveKey, "{}"))
    await store[Symbol.asyncDispose]()
    const refused = await conveyor(folder.path, "serve", "--port", "0", "--store", "sqlite:part.sqlite")
    expect(refused).toMatchObject({ exit: 3, stderr: expect.stringContaining("has not finished") })
  })

  test("does not start on a data folder of a later format", async () => {
    await using folder = await belt()
    await Bun.write(join(folder.path, ".conveyor/format"), "2\n")
    const refused = await conveyor(folder.path, "serve", "--port", "0")
    expect(refused).toMatchObject({ exit: 3, stderr: expect.stringContaining("has the format 2") })
    expect((await readdir(join(folder.path, ".conveyor"))).toSorted()).toEqual(["format", "lock"])
  })
})

describe("conveyor store check", () => {
  test("prints each fault and exits 1", async () => {
    await using folder = await belt()
    const store = await openSqlite(join(folder.path, "bad.sqlite"))
    await write(store, put("runs/active/gone", ""))
    await store[Symbol.asyncDispose]()
    const checked = await conveyor(folder.path, "store", "check", "--store", "sqlite:bad.sqlite")
    expect(checked).toEqual({
      exit: 1,
      stdout: "runs/active/gone: there is no such run\n1 entry, 0 runs: 1 fault\n",
      stderr: "",
    })
  })
})
