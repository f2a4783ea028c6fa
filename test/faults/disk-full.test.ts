import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdir, readdir, rm, statfs } from "node:fs/promises"
import { join } from "node:path"
import { buildExecutable, runToEnd } from "../rig/executable.ts"
import { folderOf, type HostProcess, serveWith, shellPipeline, waitForGate } from "../rig/host-process.ts"
import { mayMount, smallDisk } from "../rig/own-mounts.ts"
import { until } from "../rig/until.ts"

/* The executable with its data folder on a disk of 40 MiB, which the test fills to the last byte. */

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

const lines = 20_000
/** Gives data too large for a record once its gate is open, and logs nothing. */
const giver = `import { existsSync } from "node:fs"
export default {
  async reconcile(ctx) {
    while (!existsSync(ctx.resource.spec.gate)) await Bun.sleep(20)
    return { success: true, message: "given", data: "x".repeat(1_000_000) }
  },
}
`
const files = {
  "drivers/giver.js": giver,
  "pipelines/give.json": JSON.stringify({
    name: "give",
    resource: "app",
    steps: [{ id: "give", driver: "giver" }],
  }),
  "pipelines/gate.json": shellPipeline("gate", waitForGate),
  "pipelines/chatty.json": shellPipeline("chatty", `echo first; ${waitForGate}; seq 1 ${lines}; echo last`),
}

/** A host whose data folder is a disk of its own. */
async function hostOnSmallDisk(flags: readonly string[] = []) {
  await using scope = new AsyncDisposableStack()
  const folder = scope.use(await folderOf(files))
  const data = join(folder.path, "data")
  await mkdir(data)
  const mounts = scope.use(await smallDisk(data, 40))
  const enter = [...mounts.enter(folder.path), executable.path]
  const args = ["--data", data, "--grace", "1s", ...flags]
  const start = () => serveWith(enter, { cwd: folder.path, args })
  const host = scope.use(await start())
  const owned = scope.move()
  return {
    gate: join(folder.path, "gate"),
    folder: folder.path,
    data,
    disk: mounts.seen(data),
    host,
    start,
    command: [...enter, "serve", "--port", "0", ...args],
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

/** Fills the disk of a host that is ready for it. */
async function fillReady(disk: string): Promise<void> {
  await until("the ballast is there", () => Bun.file(join(disk, "conveyor.sqlite-ballast")).exists())
  await fill(disk)
}

/** Takes all the room there is, to the last byte. */
async function fill(disk: string): Promise<void> {
  const writing = Bun.spawn(["dd", "if=/dev/zero", `of=${join(disk, "filler")}`, "bs=4k"], {
    stderr: "ignore",
  })
  await writing.exited
  expect((await statfs(disk)).bavail).toBe(0)
}

const empty = (disk: string) => rm(join(disk, "filler"))

/** Submits until the disk is full for good: what the store had written in advance is used up. */
async function submitUntilRefused(host: HostProcess, acknowledged: string[]) {
  return await until("a resource is refused", async () => {
    const name = `r${Bun.randomUUIDv7()}`
    const spec = { gate: "/", text: "x".repeat(100_000) }
    const answer = await host.ask("/resources", { name, resource: "app", pipeline: "gate", spec })
    if (answer.status === 503) return answer.body
    acknowledged.push(String(answer.body["runid"]))
    return undefined
  })
}

describe.if(mayMount)("a disk that is full while the store commits", () => {
  test.concurrent("refuses what is new by name, ends what runs, and takes on again when there is room", async () => {
    await using small = await hostOnSmallDisk()
    const { host, disk, gate } = small
    const waiting = await Promise.all(Array.from({ length: 20 }, () => host.submit("gate", { gate })))
    await fillReady(disk)
    const acknowledged: string[] = []
    const refusal = await submitUntilRefused(host, acknowledged)
    const store = join(small.data, "conveyor.sqlite")
    expect(refusal).toMatchObject({
      code: "STORE_UNAVAILABLE",
      detail: `The disk of ${store} is full: runs go on, and nothing new is taken on until there is room`,
    })
    expect((await host.ask("/health")).status).toBe(200)

    // What is under way ends, and its end is written down, while the disk is full.
    await Bun.write(gate, "")
    for (const runId of waiting) expect((await host.ended(runId)).status).toBe("succeeded")
    expect((await submitUntilRefused(host, []))["code"]).toBe("STORE_UNAVAILABLE")

    await empty(disk)
    await until("there is room again", () => host.logged(/has room again/).length > 0)
    expect((await host.ended(await host.submit("gate", { gate }))).status).toBe("succeeded")
    for (const runId of acknowledged) expect((await host.ended(runId)).status).toBe("succeeded")
    expect(host.logged(/is full/)).toHaveLength(1)
    expect(host.logged(/"level":[56]0/)).toEqual([])
  }, 60_000)
})

test.concurrent.if(mayMount)(
  "a host that loses its lease on a full disk gains another one there, and its runs go on",
  async () => {
    await using small = await hostOnSmallDisk(["--lease-ttl", "2s"])
    const { host, disk, gate } = small
    const runId = await host.submit("gate", { gate })
    await fillReady(disk)
    await submitUntilRefused(host, [])
    host.process.kill("SIGSTOP")
    // What is to be over is the lease, which lives as long as the host stands still: the time is the fault here.
    await Bun.sleep(2_500)
    host.process.kill("SIGCONT")
    await until("its lease is lost", () => host.logged(/lease is lost/).length > 0)
    await Bun.write(gate, "")
    expect(await host.ended(runId)).toMatchObject({ status: "succeeded", steps: [{ attempt: 2 }] })
    expect((await submitUntilRefused(host, []))["code"]).toBe("STORE_UNAVAILABLE")
  },
  60_000,
)

test.concurrent.if(mayMount)(
  "a host that was killed on a full disk is refused its start by name, and loses nothing once there is room",
  async () => {
    await using small = await hostOnSmallDisk()
    const { host, disk, gate } = small
    const runId = await host.submit("gate", { gate })
    await fillReady(disk)
    const acknowledged: string[] = []
    await submitUntilRefused(host, acknowledged)
    host.process.kill("SIGKILL")
    await host.process.exited
    await fill(disk)

    const refused = await runToEnd(small.command, { cwd: small.folder })
    expect(refused).toMatchObject({
      exit: 3,
      stderr: `conveyor: ${join(small.data, "conveyor.sqlite")}: database or disk is full\n`,
    })
    await empty(disk)
    await using again = await small.start()
    await Bun.write(gate, "")
    for (const id of [runId, ...acknowledged]) expect((await again.ended(id)).status).toBe("succeeded")
    const next = await until("a run is taken on", () => again.submit("gate", { gate }).catch(() => undefined))
    expect((await again.ended(next)).status).toBe("succeeded")
  },
  60_000,
)

describe.if(mayMount)("a disk that is full while a step logs", () => {
  test.concurrent("fails the attempt by name, keeps the lines acknowledged before, and logs again when there is room", async () => {
    await using small = await hostOnSmallDisk()
    const { host, disk, gate } = small
    const runId = await host.submit("chatty", { gate })
    await until("its first line is there", async () => (await host.messages(runId)).length > 0)
    await fillReady(disk)
    await Bun.write(gate, "")
    const failed = await host.ended(runId)
    expect(failed).toMatchObject({ status: "failed", steps: [{ status: "failed" }] })
    const place = join(small.data, "logs", `${runId}.jsonl`)
    expect(failed.steps[0]?.result?.message).toMatch(
      new RegExp(`^its log could not be written: The log ${place} cannot be written: ENOSPC`),
    )
    const kept = await host.messages(runId)
    expect(kept[0]).toBe("first")
    // In order, from the first on: what is missing is at places that were never acknowledged.
    const numbers = kept.map(Number).filter(Number.isInteger)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))

    await empty(disk)
    const again = await until("a run is taken on", () =>
      host.submit("chatty", { gate }).catch(() => undefined),
    )
    expect((await host.ended(again)).status).toBe("succeeded")
    const log = join(disk, "logs", `${again}.jsonl`)
    const written = (await Bun.file(log).text()).trimEnd().split("\n")
    const sequences = written.map((line) => (JSON.parse(line) as { sequence: number }).sequence)
    expect(sequences).toEqual(Array.from({ length: lines + 2 }, (_, n) => n + 1))
  }, 60_000)
})

test.if(mayMount)(
  "a disk that is full while a step gives large data fails the attempt by name, and leaves no half of a file",
  async () => {
    await using small = await hostOnSmallDisk()
    const { host, disk } = small
    const gate = join(small.folder, "gate")
    const runId = await host.submit("give", { gate })
    await until("its step runs", async () => (await host.run(runId)).steps[0]?.status === "running")
    await until("the ballast is there", () => Bun.file(join(disk, "conveyor.sqlite-ballast")).exists())
    await fill(disk)
    await Bun.write(gate, "")
    const failed = await host.ended(runId)
    expect(failed).toMatchObject({ status: "failed", steps: [{ status: "failed" }] })
    expect(failed.steps[0]?.result?.message).toMatch(
      /^the driver's data \(1000002 bytes\) could not be written: ENOSPC/,
    )
    expect(await readdir(join(disk, "results", runId)).catch(() => [])).toEqual([])

    await empty(disk)
    const again = await until("a run is taken on", () => host.submit("give", { gate }).catch(() => undefined))
    expect((await host.ended(again)).status).toBe("succeeded")
    expect(await readdir(join(disk, "results", again))).toHaveLength(1)
  },
  60_000,
)
