import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import type { Drift } from "../../src/model/drift.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { StepState } from "../../src/model/run.ts"
import { openEtcd } from "../../src/store/etcd.ts"
import { pipelineKey, prefixes, stepKey } from "../../src/store/keys.ts"
import type { Revision, Store } from "../../src/store/store.ts"
import { pipelineText } from "../loader/loader-rig.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { buildExecutable, type Running, start } from "../rig/executable.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/* The executable, as several hosts on one real etcd: their folders differ, they are killed, they are stopped in their tracks. */

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

/** etcd counts a lease in whole seconds. */
const leaseTtl = "2s"

/** A host's folder, which outlives its process, and what a person does in it. */
interface HostFolder extends AsyncDisposable {
  readonly path: string
  write(file: string, text: string): Promise<void>
  remove(file: string): Promise<void>
  /** Starts a host in it. */
  serve(): Promise<RunningHost>
}

interface RunningHost extends AsyncDisposable {
  readonly process: Running
  readonly url: string
  readonly hostId: string
  get<T>(path: string): Promise<T>
  post(path: string, body: object): Promise<Record<string, unknown>>
}

async function hostFolder(prefix: string): Promise<HostFolder> {
  const temp = await tempFolder()
  const write = async (file: string, text: string) =>
    void (await Bun.write(join(temp.path, "pipelines", file), text))
  await write(".keep", "")
  return {
    path: temp.path,
    write,
    remove: (file) => rm(join(temp.path, "pipelines", file)),
    async serve() {
      const store = `etcd://${new URL(etcd.endpoint).host}/${prefix}`
      const flags = ["--port", "0", "--lease-ttl", leaseTtl, "--grace", "1s", "--log-level", "info"]
      const host = start([executable.path, "serve", "--store", store, ...flags], { cwd: temp.path })
      const url = (await host.printed(/listening on (http:\S+)/))[1] as string
      const get = async <T>(path: string) => (await (await fetch(url + path)).json()) as T
      const { hostId } = await get<{ hostId: string }>("/health")
      return {
        process: host,
        url,
        hostId,
        get,
        async post(path, body) {
          const response = await fetch(url + path, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
          })
          if (!response.ok) throw new Error(await response.text())
          return (await response.json()) as Record<string, unknown>
        },
        [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
      }
    },
    [Symbol.asyncDispose]: temp[Symbol.asyncDispose],
  }
}

interface ShownHost {
  readonly hostId: string
  readonly drift: readonly Drift[]
}
interface ShownPipeline extends Pipeline {
  readonly hash: string
  readonly drift?: readonly { readonly hostId: string; readonly file: string; readonly hash: string }[]
}

const hosts = (host: RunningHost) => host.get<readonly ShownHost[]>("/hosts")
const shown = (host: RunningHost, name: string) => host.get<ShownPipeline>(`/pipelines/${name}`)

/** Waits until a host shows this description of a pipeline; undefined: until it is gone. */
async function serves(host: RunningHost, name: string, description: string | undefined): Promise<void> {
  await until(`${name} is ${description}`, async () => {
    const response = await fetch(`${host.url}/pipelines/${name}`)
    if (response.status === 404) return description === undefined
    return ((await response.json()) as ShownPipeline).description === description
  })
}

let looks = 0
/** Waits until the host has compared its folder with the store anew. Its own pipeline shows when it has. */
async function looksAgain(folder: HostFolder, host: RunningHost): Promise<void> {
  const name = `look-${host.hostId.slice(-12)}`
  const description = `look ${++looks}`
  await folder.write(`${name}.yaml`, pipelineText(name, description))
  await serves(host, name, description)
}

async function modRevisionOf(store: Store, name: string): Promise<Revision | undefined> {
  return (await store.get(pipelineKey(name)))?.modRevision
}

describe("hosts with different pipelines folders", () => {
  test("change nothing of each other's, and both say who drifts", async () => {
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "drift/" })
    await using folderA = await hostFolder("drift")
    await using folderB = await hostFolder("drift")
    await folderA.write("shared.yaml", pipelineText("shared", "of a"))
    await folderA.write("only-a.yaml", pipelineText("only-a"))
    await folderB.write("shared.yaml", pipelineText("shared", "of b"))
    await folderB.write("only-b.yaml", pipelineText("only-b"))
    await using a = await folderA.serve()
    await using b = await folderB.serve()
    for (const [folder, host] of [
      [folderA, a],
      [folderB, b],
    ] as const)
      await looksAgain(folder, host)
    const names = ["shared", "only-a", "only-b"]
    const before = await Promise.all(names.map((name) => modRevisionOf(store, name)))
    expect(before).not.toContain(undefined)
    for (let n = 0; n < 3; n++) {
      await looksAgain(folderA, a)
      await looksAgain(folderB, b)
    }
    expect(await Promise.all(names.map((name) => modRevisionOf(store, name)))).toEqual(before)

    await b.process.printed(/drifts: here it is [0-9a-f]+, in the store [0-9a-f]+, which \S+ has/)
    for (const host of [a, b]) {
      const pipeline = await shown(host, "shared")
      expect(pipeline.description).toBe("of a")
      const [drift] = pipeline.drift ?? []
      expect(pipeline.drift).toHaveLength(1)
      expect(drift).toMatchObject({ hostId: b.hostId, file: "shared.yaml" })
      const byHost = new Map((await hosts(host)).map(({ hostId, drift: all }) => [hostId, all]))
      expect(byHost.get(a.hostId)).toEqual([])
      expect(byHost.get(b.hostId)).toEqual([
        {
          kind: "pipeline",
          name: "shared",
          file: "shared.yaml",
          here: drift?.hash ?? "",
          store: pipeline.hash,
          heldBy: [a.hostId],
        },
      ])
    }
  }, 60_000)

  test("take an edit from either, and delete what no live host has any more", async () => {
    await using folderA = await hostFolder("edits")
    await using folderB = await hostFolder("edits")
    for (const folder of [folderA, folderB]) {
      await folder.write("p.yaml", pipelineText("p", "old"))
      await folder.write("q.yaml", pipelineText("q", "old"))
    }
    await using a = await folderA.serve()
    await using b = await folderB.serve()
    expect((await shown(a, "p")).drift).toBeUndefined()
    await folderB.write("p.yaml", pipelineText("p", "new"))
    await serves(a, "p", "new")
    expect((await shown(a, "p")).drift).toMatchObject([{ hostId: a.hostId }])
    await folderA.write("p.yaml", pipelineText("p", "new"))
    await until("the rollout is over", async () => (await shown(b, "p")).drift === undefined)

    await folderA.remove("q.yaml")
    await a.process.printed(/q\.yaml no longer declares .* it stays, because another host has it/)
    await serves(b, "q", "old")
    await folderB.remove("q.yaml")
    await serves(a, "q", undefined)
  }, 60_000)

  test("lose nothing when one of them is killed, and it comes back with what was edited in it meanwhile", async () => {
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "kill/" })
    await using folderA = await hostFolder("kill")
    await using folderB = await hostFolder("kill")
    await folderA.write("shared.yaml", pipelineText("shared", "of a"))
    await folderA.write("only-a.yaml", pipelineText("only-a", "old"))
    await folderB.write("shared.yaml", pipelineText("shared", "of b"))
    await using first = await folderA.serve()
    await using b = await folderB.serve()
    const memory = join(folderB.path, ".conveyor/pipelines-seen.json")
    await until("it is settled that its file is not the one in the store", async () => {
      const text = await Bun.file(memory).text()
      return text.includes("pipeline shared") && !text.includes("isNew")
    })
    first.process.kill("SIGKILL")
    await until("its lease is over", async () => (await hosts(b)).length === 1)
    await b.process.printed(/drifts: .* which no live host has in its folder/)
    await looksAgain(folderB, b)
    expect((await shown(b, "shared")).description).toBe("of a")
    const [only, shared] = [await modRevisionOf(store, "only-a"), await modRevisionOf(store, "shared")]
    expect(only).toBeDefined()

    await folderA.write("only-a.yaml", pipelineText("only-a", "edited while it was down"))
    await using again = await folderA.serve()
    expect((await shown(again, "only-a")).description).toBe("edited while it was down")
    await looksAgain(folderA, again)
    await looksAgain(folderB, b)
    expect(await modRevisionOf(store, "shared")).toBe(shared)
    expect((await hosts(b)).find(({ hostId }) => hostId === b.hostId)?.drift).toMatchObject([
      { name: "shared", heldBy: [again.hostId] },
    ])
  }, 60_000)

  test("are joined by a host with an empty folder, which deletes nothing and runs what the others have", async () => {
    await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "empty/" })
    await using folderA = await hostFolder("empty")
    await using folderB = await hostFolder("empty")
    await folderA.write("p.yaml", pipelineText("p"))
    await using a = await folderA.serve()
    const before = await modRevisionOf(store, "p")
    await using b = await folderB.serve()
    await looksAgain(folderB, b)
    await looksAgain(folderB, b)
    expect(await modRevisionOf(store, "p")).toBe(before)
    expect((await hosts(b)).map(({ drift }) => drift)).toEqual([[], []])
    expect((await shown(b, "p")).hash).toBe((await shown(a, "p")).hash)
  }, 60_000)
})

test("a host that was paused for longer than its lease lands nothing of what it did, and ends what it still runs", async () => {
  await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix: "paused/" })
  await using shared = await tempFolder()
  await using folderA = await hostFolder("paused")
  await using folderB = await hostFolder("paused")
  const marker = (name: string) => join(shared.path, name)
  // The first attempt of each tells its process; the one of `ends` is over while its host is paused.
  const script = (step: string, first: string) =>
    `cd ${shared.path}; if mkdir ${step}; then echo $$ > ${step}.new; mv ${step}.new ${step}.pid; ${first}; fi; while ! test -e go; do sleep 0.05; done`
  const wait = "while ! test -e end; do sleep 0.05; done; touch ended; exit 0"
  await folderA.write(
    "p.yaml",
    JSON.stringify({
      name: "p",
      resource: "thing",
      steps: [
        { id: "ends", driver: "shell", needs: [], with: { run: script("ends", wait) } },
        { id: "stays", driver: "shell", needs: [], with: { run: script("stays", "sleep 600") } },
      ],
    }),
  )
  await using a = await folderA.serve()
  await a.post("/resource-definitions", { name: "thing", schema: {} })
  const { runid } = await a.post("/resources", { name: "one", resource: "thing", pipeline: "p" })
  const runId = String(runid)
  await until("both steps run", async () => {
    const pids = ["ends.pid", "stays.pid"].map((name) => Bun.file(marker(name)).exists())
    return (await Promise.all(pids)).every(Boolean)
  })
  const pid = Number(await Bun.file(marker("stays.pid")).text())
  await using b = await folderB.serve()

  a.process.kill("SIGSTOP")
  await Bun.write(marker("end"), "")
  await until("the attempt is over, and nobody heard", () => Bun.file(marker("ended")).exists())
  const isTakenOver = async (step: string) => {
    const entry = await store.get(stepKey(runId, step))
    const state = JSON.parse(entry?.value ?? "{}") as Partial<StepState & { hostId: string }>
    return state.attempt === 2 && state.hostId === b.hostId
  }
  await until(
    "the other host took both over",
    async () => (await isTakenOver("ends")) && isTakenOver("stays"),
  )
  const before = (await store.list(prefixes.runs)).entries
  a.process.kill("SIGCONT")
  await a.process.printed(/the host's lease is lost/)
  await until(
    "its attempt's processes are ended",
    async () => !(await Bun.file(`/proc/${pid}/cmdline`).exists()),
  )
  await until("it is back under a new lease", async () => (await hosts(b)).length === 2)
  expect((await store.list(prefixes.runs)).entries).toEqual(before)

  await Bun.write(marker("go"), "")
  const run = await b.get<{ status: string; steps: { attempt: number; hostId: string }[] }>(
    `/runs/${runId}?wait=30s`,
  )
  expect(run).toMatchObject({
    status: "succeeded",
    steps: [
      { attempt: 2, hostId: b.hostId },
      { attempt: 2, hostId: b.hostId },
    ],
  })
}, 60_000)
