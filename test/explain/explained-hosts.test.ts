import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { join } from "node:path"
import pino from "pino"
import { loadConfig } from "../../src/config.ts"
import type { RunExplanation, StepExplanation } from "../../src/explain/explanation.ts"
import { type Host, startHost } from "../../src/host.ts"
import type { RunView } from "../../src/model/run-view.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/*
 * What `GET /runs/:id/explain` answers of what really happens: two hosts on one etcd, their own drivers, processes of the
 * system. Hosts are asked over HTTP, as people do.
 */

const log = pino({ level: "silent" })
/** It goes on until the file named after the resource is there, and does not end because it is asked to. */
const patient = `trap '' TERM; : > "$GATES/$NAME-began"; while [ ! -e "$GATES/$NAME" ]; do sleep 0.05; done`

const pipelines = (gates: string) => `
kind: ResourceDefinition
name: app
schema: {}
---
name: patient
resource: app
host: { zone: b }
env: { GATES: ${JSON.stringify(gates)}, NAME: "\${{ resource.name }}" }
steps:
  - { id: work, driver: shell, with: { run: ${JSON.stringify(patient)} } }
  - { id: after, driver: shell, with: { run: "true" }, if: 'steps.work.data.exitCode == 0 && resource.spec.to == "prod"' }
---
name: deploy
resource: app
host: { zone: b }
env: { GATES: ${JSON.stringify(gates)}, NAME: "\${{ resource.name }}" }
concurrency: { key: "deploy-\${{ resource.spec.to }}" }
steps:
  - { id: deploy, driver: shell, with: { run: ${JSON.stringify(patient)} } }
---
name: flaky
resource: app
host: { zone: a }
steps:
  - { id: try, driver: shell, with: { run: "echo no route to host >&2; exit 1" }, retry: { attempts: 3, backoff: 10m } }
---
name: misspelt
resource: app
queueTimeout: 10m
steps:
  - { id: paint, driver: shel }
---
name: far
resource: app
host: { zone: c }
steps:
  - { id: work, driver: shell, with: { run: "true" } }
`

let etcd: EtcdRig
let folder: Awaited<ReturnType<typeof tempFolder>>
let here: Host
let there: Host

beforeAll(async () => {
  etcd = await startEtcd()
  folder = await tempFolder()
  await Bun.write(join(folder.path, "pipelines/all.yaml"), pipelines(folder.path))
  const start = async (zone: string) => {
    const flags = {
      data: join(folder.path, zone),
      port: "0",
      store: etcd.endpoint.replace("http://", "etcd://"),
      pipelines: join(folder.path, "pipelines"),
      drivers: join(folder.path, "drivers"),
      label: `zone=${zone}`,
      "attempts-max": "2",
      "lease-ttl": "3s",
    }
    return await startHost(await loadConfig({ flags, env: {}, cwd: folder.path }), { log })
  }
  here = await start("a")
  there = await start("b")
}, 60_000)
afterAll(async () => {
  await Promise.all([here.stop(), there.stop()])
  await etcd[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function send<Answer>(method: string, path: string, body?: object): Promise<Answer> {
  const response = await fetch(`${here.url}${path}`, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as Answer
}

let count = 0
interface Submitted {
  readonly runId: string
  /** Resolves when a patient one does not end any more because it is asked to. */
  began(): Promise<unknown>
  /** Lets a patient one end. */
  open(): Promise<void>
}

async function submit(pipeline: string, to = "dev"): Promise<Submitted> {
  const name = `${pipeline}-${++count}`
  const began = Bun.file(join(folder.path, `${name}-began`))
  const { runid } = await send<{ runid: string }>("POST", "/resources", {
    name,
    resource: "app",
    pipeline,
    spec: { to },
  })
  return {
    runId: runid,
    began: () => until(`${name} has begun`, () => began.exists()),
    open: async () => void (await Bun.write(join(folder.path, name), "")),
  }
}

const explain = (runId: string) => send<RunExplanation>("GET", `/runs/${runId}/explain`)
const ended = (runId: string) => send<RunView>("GET", `/runs/${runId}?wait=30s`)

/** A step's explanation, once it has a reason of this type. */
async function reasoned<Type extends StepExplanation["reason"]["type"]>(
  runId: string,
  stepId: string,
  type: Type,
): Promise<StepExplanation & { readonly reason: { readonly type: Type } }> {
  return await until(`${stepId} is explained as ${type}`, async () => {
    const { steps } = await explain(runId)
    const found = steps.find(({ id }) => id === stepId)
    return found?.reason.type === type
      ? (found as StepExplanation & { readonly reason: { readonly type: Type } })
      : undefined
  })
}

describe("what is explained of what happens", () => {
  test("a run waits for its key, and the run that holds it is named", async () => {
    const first = await submit("deploy", "prod")
    await reasoned(first.runId, "deploy", "running")
    const second = await submit("deploy", "prod")
    const { message, reason } = await reasoned(second.runId, "deploy", "concurrency")
    expect(reason).toMatchObject({
      key: "deploy-prod",
      limit: 1,
      holders: [{ runId: first.runId }],
      ahead: [],
    })
    expect(message).toBe('waits with its run for the concurrency key "deploy-prod"')
    expect((await explain(second.runId)).message).toMatch(
      new RegExp(
        `^it waits since \\S+ for the concurrency key "deploy-prod" \\(1 run at a time\\), held by run ${first.runId} since \\S+Z$`,
      ),
    )
    const third = await submit("deploy", "prod")
    expect((await reasoned(third.runId, "deploy", "concurrency")).reason).toMatchObject({
      ahead: [second.runId],
    })
    await Promise.all([first.open(), second.open(), third.open()])
    expect((await ended(third.runId)).status).toBe("succeeded")
    expect((await explain(third.runId)).message).toBe("it has ended as succeeded")
  })

  test("a cancel waits for processes, and those are named, on whatever host they run", async () => {
    const { runId, began } = await submit("patient")
    await began()
    await send("POST", `/runs/${runId}/cancel`)
    const { message } = await until("its processes are named", async () => {
      const step = await reasoned(runId, "work", "running")
      return step.message.includes("still there") ? step : undefined
    })
    expect(message).toStartWith(`is told to end on ${there.hostId}, where it runs since `)
    const [, pid] = /process (\d+) \((?:\/\S*)?sh /.exec(message) ?? []
    expect(await Bun.file(`/proc/${pid}/cmdline`).text()).toContain("trap")
    expect((await explain(runId)).message).toMatch(/^it is being cancelled since \S+; "work" has to end$/)
    await send("POST", `/runs/${runId}/cancel`, { kill: true })
    expect((await ended(runId)).status).toBe("cancelled")
    expect(await Bun.file(`/proc/${pid}/cmdline`).exists()).toBe(false)
  })

  test("a condition that is false already is so before its turn, and shows what it read", async () => {
    const { runId, open } = await submit("patient", "dev")
    await reasoned(runId, "work", "running")
    const { message, condition } = await reasoned(runId, "after", "blocked")
    expect(message).toBe(
      'will be skipped once "work" (running) has ended: its condition is false already: resource.spec.to == "prod" (resource.spec.to is "dev")',
    )
    expect(condition?.values).toEqual([
      { expression: "steps.work.data.exitCode", until: '"work" has ended' },
      { expression: "resource.spec.to", value: "dev" },
    ])
    await open()
    expect((await ended(runId)).steps.map(({ status }) => status)).toEqual(["succeeded", "skipped"])
    expect((await reasoned(runId, "after", "skipped")).message).toBe(
      'its condition is false: resource.spec.to == "prod" (resource.spec.to is "dev")',
    )
  })

  test("the hosts that can do it are full", async () => {
    const running = await Promise.all([submit("patient"), submit("patient")])
    for (const { runId } of running) await reasoned(runId, "work", "running")
    const { runId, open } = await submit("patient")
    // A host writes down how much it does a few times in the time of its lease.
    expect((await reasoned(runId, "work", "place")).message).toBe(
      `no host that can do it has a free slot: ${there.hostId} runs 2 of 2`,
    )
    await Promise.all([open(), ...running.map((each) => each.open())])
    expect((await ended(runId)).status).toBe("succeeded")
  })

  test("an attempt that failed is made again at a time, and its last words are told", async () => {
    const { runId } = await submit("flaky")
    const { reason, message } = await reasoned(runId, "try", "timer")
    expect(reason).toMatchObject({ attempt: 1, attemptsMax: 3 })
    expect(message).toStartWith("attempt 1 of 3 failed; the next one starts at ")
    expect(message).toEndWith("; the last thing it logged: no route to host")
    await send("POST", `/runs/${runId}/cancel`)
    expect((await ended(runId)).status).toBe("cancelled")
  })

  test("a driver that nobody has is told with the nearest one, and when the wait is over", async () => {
    const { runId } = await submit("misspelt")
    const { reason, message } = await until("a host has looked for it", async () => {
      const step = await reasoned(runId, "paint", "place")
      return step.reason.since === undefined ? undefined : step
    })
    expect(reason.place).toMatchObject({ type: "driver", driver: "shel", nearest: "shell" })
    expect(Date.parse(reason.until ?? "") - Date.parse(reason.since ?? "")).toBe(600_000)
    expect(message).toStartWith('no host has the driver "shel" (did you mean "shell"?); there are ')
    await send("POST", `/runs/${runId}/cancel`)
    expect((await ended(runId)).status).toBe("cancelled")
  })

  test("labels that no host has are told with the host that lacks the fewest", async () => {
    const { runId } = await submit("far")
    const { reason } = await reasoned(runId, "work", "place")
    expect(reason.place).toMatchObject({
      type: "labels",
      labels: { zone: "c" },
      nearest: { lacks: { zone: "c" } },
    })
    await send("POST", `/runs/${runId}/cancel`)
    expect((await ended(runId)).status).toBe("cancelled")
  })
})
