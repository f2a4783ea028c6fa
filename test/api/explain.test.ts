import { afterAll, describe, expect, test } from "bun:test"
import * as v from "valibot"
import { explanationShape } from "../../src/api/explanation-shape.ts"
import type { StepExplanation } from "../../src/explain/explanation.ts"
import type { HostRecord } from "../../src/model/host.ts"
import { claimKey, driverBundleKey, hostKey, runKey, stepKey } from "../../src/store/keys.ts"
import { apiRig, withRelease } from "./api-rig.ts"

const at = "2026-01-02T03:04:05.000Z"
const now = new Date("2026-01-02T03:05:00.000Z")
const rig = await apiRig({ now: () => now, env: { STAGE: "test" } })
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig, {
  steps: [
    { id: "clone", driver: "git", retry: { attempts: 3, backoff: 60_000 } },
    { id: "build", driver: "shell", if: 'env.STAGE == "prod" && steps.clone.data.ok' },
  ],
})

const host: HostRecord = {
  hostId: "host-1",
  folder: "folder-1",
  version: "1",
  startedAt: at,
  labels: {},
  load: { attempts: 0, attemptsMax: 2 },
  drivers: ["git", "shell"].map((name) => ({
    name,
    hash: `hash-of-${name}`,
    resources: [],
    type: "module",
    source: "builtin",
  })),
  driverFaults: [],
}

let count = 0
async function newRun(): Promise<string> {
  const source = { name: `web-${++count}`, resource: "app", pipeline: "release" }
  return (await rig.send("POST", "/resources", source)).body.runid
}

async function explain(runId: string) {
  const { status, body } = await rig.send("GET", `/runs/${runId}/explain`)
  expect(status).toBe(200)
  expect(v.parse(explanationShape, body)).toEqual(body)
  return {
    ...body,
    of: (id: string): StepExplanation => body.steps.find((step: StepExplanation) => step.id === id),
  }
}

describe("GET /runs/:id/explain", () => {
  test("says that no host is alive, and then that one can start it", async () => {
    const runId = await newRun()
    const alone = await explain(runId)
    expect(alone).toMatchObject({ runId, status: "pending", message: "no host is alive" })
    expect(alone.of("build").reason).toEqual({
      type: "blocked",
      by: [{ stepId: "clone", status: "pending" }],
    })
    await rig.put(hostKey(host.hostId), host)
    expect((await explain(runId)).of("clone").reason).toEqual({ type: "starting", hosts: ["host-1"] })
  })

  test("looks at conditions with this host's variables, as far as they can be told", async () => {
    const { of } = await explain(await newRun())
    expect(of("build").condition).toEqual({
      expression: 'env.STAGE == "prod" && steps.clone.data.ok',
      implied: true,
      values: [
        { expression: "env.STAGE", value: "(set)" },
        { expression: "steps.clone.data.ok", until: '"clone" has ended' },
      ],
      outcome: "false",
      falseParts: ['env.STAGE == "prod"'],
    })
  })

  test("knows who holds what runs", async () => {
    const runId = await newRun()
    await rig.put(hostKey(host.hostId), host)
    await rig.startRun(runId)
    const running = {
      status: "running",
      attempt: 1,
      driverHash: "hash-of-git",
      hostId: "host-1",
      startedAt: at,
    }
    await rig.put(stepKey(runId, "clone"), running)
    expect((await explain(runId)).of("clone").reason.type).toBe("orphaned")
    await rig.put(claimKey(runId, "clone"), { hostId: "host-1", attempt: 1 })
    expect((await explain(runId)).of("clone").message).toBe(
      `runs on host-1 since ${at}; times out at 2026-01-02T04:04:05.000Z`,
    )
  })

  test("quotes what the failed attempt logged last, while the next one is awaited", async () => {
    const runId = await newRun()
    await rig.startRun(runId)
    const until = "2026-01-02T03:06:00.000Z"
    await rig.put(stepKey(runId, "clone"), {
      status: "waiting",
      waitingFor: { type: "timer", until },
      since: at,
      attempt: 2,
    })
    const line = (attempt: number, message: string) =>
      ({ at, step: "clone", attempt, driver: "git", stream: "stderr", message }) as const
    await rig.logs.append(runId, [
      line(1, "of the first"),
      line(2, "no route"),
      line(2, "giving up"),
      line(2, ""),
    ])
    expect((await explain(runId)).of("clone").message).toBe(
      `attempt 2 of 3 failed; the next one starts at ${until}; the last thing it logged: giving up`,
    )
  })

  test("tells pinned content that is gone from content that is in the store", async () => {
    const runId = await newRun()
    await rig.put(hostKey(host.hostId), host)
    await rig.startRun(runId)
    await rig.put(runKey(runId), { ...(await rig.readRun(runId)), drivers: { git: "old" } })
    expect((await explain(runId)).of("clone").reason).toMatchObject({
      type: "place",
      place: { type: "content", driver: "git", hash: "old", others: ["host-1"] },
    })
    await rig.put(driverBundleKey("old"), { hash: "old", parts: 1, createdAt: at })
    expect((await explain(runId)).of("clone").reason).toEqual({ type: "starting", hosts: ["host-1"] })
  })

  test("goes on with a run that has ended, and with a resource that is gone", async () => {
    const runId = await newRun()
    await rig.endStep(runId, "clone", { success: false, message: "no" })
    await rig.endRun(runId, { status: "failed", message: 'step "clone" failed: no' })
    await rig.send("DELETE", `/resources/app/web-${count}`)
    const { message, of } = await explain(runId)
    expect(message).toBe('it has ended as failed: step "clone" failed: no')
    expect(of("build").message).toBe('step "clone" before it did not succeed')
  })

  test("is 404 for a run that is not there", async () => {
    for (const id of [Bun.randomUUIDv7(), "x"]) {
      expect((await rig.send("GET", `/runs/${id}/explain`)).status).toBe(404)
    }
  })
})
