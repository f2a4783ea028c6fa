import { afterAll, describe, expect, test } from "bun:test"
import { pipelineKey, runKey } from "../../src/store/keys.ts"
import { until } from "../rig/until.ts"
import { apiRig, sentEvents, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)

let count = 0
async function newRun(pipeline: string | undefined = "release"): Promise<string> {
  const source = { name: `web-${++count}`, resource: "app", pipeline }
  return (await rig.send("POST", "/resources", source)).body.runid
}

describe("a run", () => {
  test("is shown with its steps, also after its pipeline was changed and deleted", async () => {
    const runId = await newRun()
    await rig.startRun(runId)
    await rig.endStep(runId, "clone", { success: true, message: "cloned" })
    const entry = await rig.store.get(pipelineKey("release"))
    await rig.store.commit([], [{ type: "delete", key: pipelineKey("release") }])
    const { status, body } = await rig.send("GET", `/runs/${runId}/`)
    await rig.put(pipelineKey("release"), JSON.parse(entry?.value ?? ""))
    expect(status).toBe(200)
    expect(body).toMatchObject({ runId, status: "running", event: "create", pipeline: { name: "release" } })
    expect(
      body.steps.map(
        (step: { id: string; status: string; message: string }) =>
          `${step.id} ${step.status} ${step.message}`,
      ),
    ).toEqual(["clone succeeded cloned", "build pending "])
  })

  test("that is not there is 404", async () => {
    for (const id of [Bun.randomUUIDv7(), "x", "..%2fx", "%00", "__proto__"]) {
      for (const [method, path] of [
        ["GET", ""],
        ["GET", "/events"],
        ["POST", "/cancel"],
      ] as const) {
        expect((await rig.send(method, `/runs/${id}${path}`)).status).toBe(404)
      }
    }
  })

  test("can be waited for", async () => {
    const runId = await newRun()
    const waiting = rig.send("GET", `/runs/${runId}?wait=30s`)
    await rig.endRun(runId)
    expect((await waiting).body.status).toBe("succeeded")
    expect((await rig.send("GET", `/runs/${runId}?wait=30s`)).body.status).toBe("succeeded")
    const open = await newRun()
    expect((await rig.send("GET", `/runs/${open}?wait=10ms`)).body.status).toBe("pending")
  })

  test("says what it waits for, in lists too", async () => {
    const runId = await newRun()
    await rig.put(`runs/step/${runId}/clone`, {
      status: "waiting",
      waitingFor: { type: "driver", driver: "git" },
      since: "2026-01-02T03:04:05.000Z",
      attempt: 0,
    })
    const { body } = await rig.send("GET", "/runs?limit=1")
    expect(body).toEqual([expect.objectContaining({ runId, message: 'waiting for driver "git"' })])
    expect(body[0].steps).toBeUndefined()
  })
})

describe("cancelling", () => {
  test("asks once, is accepted again, and conflicts when the run has ended", async () => {
    const runId = await newRun()
    const first = await rig.send("POST", `/runs/${runId}/cancel`)
    expect(first).toMatchObject({ status: 202, body: { runId, message: "cancelling" } })
    const second = await rig.send("POST", `/runs/${runId}/cancel/`)
    expect(second.body.cancelRequestedAt).toBe(first.body.cancelRequestedAt)
    await rig.endRun(runId, { status: "cancelled", message: "cancelled" })
    expect((await rig.send("POST", `/runs/${runId}/cancel`)).status).toBe(409)
  })

  test("never undoes what the engine writes at the same time", async () => {
    const runId = await newRun()
    const cancels = Promise.all(Array.from({ length: 5 }, () => rig.send("POST", `/runs/${runId}/cancel`)))
    for (let n = 0; n < 20; n++) {
      const entry = await rig.store.get(runKey(runId))
      const run = JSON.parse(entry?.value ?? "")
      await rig.store.commit(
        [{ key: runKey(runId), modRevision: entry?.modRevision ?? 0 }],
        [
          {
            type: "put",
            key: runKey(runId),
            value: JSON.stringify({ ...run, status: "running", startedAt: "x" }),
          },
        ],
      )
    }
    expect((await cancels).map((answer) => answer.status)).toEqual([202, 202, 202, 202, 202])
    expect((await rig.readRun(runId)).cancelRequestedAt).toBeDefined()
  })
})

describe("lists of runs", () => {
  test("come newest first, in pages, filtered", async () => {
    await using own = await apiRig()
    await withRelease(own)
    const runIds: string[] = []
    for (const n of [1, 2, 3, 4, 5]) {
      const pipeline = n % 2 === 0 ? {} : { pipeline: "release" }
      const { body } = await own.send("POST", "/resources", { name: `r${n}`, resource: "app", ...pipeline })
      runIds.unshift(body.runid)
    }
    await own.endRun(runIds[0] as string, { status: "failed", message: "no" })
    const list = async (query: string) =>
      (await own.send("GET", `/runs?${query}`)).body.map((run: { runId: string }) => run.runId)
    expect(await list("")).toEqual(runIds)
    expect(await list("pipeline=release")).toEqual([runIds[0], runIds[2], runIds[4]])
    expect(await list("status=failed")).toEqual([runIds[0]])
    expect(await list("resource=r2")).toEqual([runIds[3]])
    expect(await list("resource=app/r2&status=pending")).toEqual([runIds[3]])
    expect(await list("resource=web/r2")).toEqual([])
    expect((await own.send("GET", "/runs?status=sucess")).status).toBe(422)

    const paged: string[] = []
    let path: string | undefined = "/runs?limit=1&pipeline=release"
    while (path !== undefined) {
      const page = await own.send("GET", path)
      paged.push(...page.body.map((run: { runId: string }) => run.runId))
      path = /^<(.*)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1]
    }
    expect(paged).toEqual([runIds[0] as string, runIds[2] as string, runIds[4] as string])
  })
})

describe("events of a run", () => {
  test("are a snapshot, then what changes, then the end", async () => {
    const runId = await newRun()
    const events = sentEvents(`${rig.url}/runs/${runId}/events`)
    const first = (await events.next()).value
    expect([first?.event, first?.data.status, first?.data.steps.length]).toEqual(["snapshot", "pending", 2])
    await rig.startRun(runId)
    const started = (await events.next()).value
    expect([started?.event, started?.data.status, started?.data.steps]).toEqual(["run", "running", undefined])
    await rig.endStep(runId, "clone", { success: false, message: "no" })
    const step = (await events.next()).value
    expect([step?.event, step?.data.id, step?.data.status]).toEqual(["step", "clone", "failed"])
    await rig.endRun(runId, { status: "failed", message: "no" })
    const rest = await Array.fromAsync(events)
    expect(rest.map(({ event, data }) => `${event} ${data.id ?? data.runId} ${data.status}`)).toEqual([
      "step build skipped",
      `run ${runId} running`,
      `run ${runId} failed`,
      `end ${runId} failed`,
    ])
  })

  test("of a run that has ended are its snapshot and its end", async () => {
    const runId = await newRun()
    await rig.endRun(runId)
    const events = await Array.fromAsync(sentEvents(`${rig.url}/runs/${runId}/events`))
    expect(events.map((each) => each.event)).toEqual(["snapshot", "end"])
  })

  test("end with the API, and a client that leaves is forgotten", async () => {
    await using own = await apiRig()
    await withRelease(own)
    const { body } = await own.send("POST", "/resources", { name: "a", resource: "app" })
    const leaves = sentEvents(`${own.url}/runs/${body.runid}/events`)
    await leaves.next()
    await leaves.return(undefined)
    const stays = sentEvents(`${own.url}/runs/${body.runid}/events`)
    await stays.next()
    const end = stays.next()
    await own.stop()
    expect((await end).done).toBe(true)
    expect(own.errors).toEqual([])
  })
})

test("a run that is followed is read anew when its history was compacted", async () => {
  const { openSqlite } = await import("../../src/store/sqlite.ts")
  await using store = await openSqlite(":memory:", { historyBytesMax: 2_000 })
  await using own = await apiRig({ store })
  await withRelease(own)
  const { body } = await own.send("POST", "/resources", { name: "a", resource: "app", pipeline: "release" })
  const waiting = own.send("GET", `/runs/${body.runid}?wait=30s`)
  const commits: Promise<unknown>[] = []
  for (let n = 0; n < 500; n++) {
    commits.push(store.commit([], [{ type: "put", key: `runs/other/${n}`, value: "x".repeat(100) }]))
  }
  await Promise.all([...commits, own.endRun(body.runid)])
  expect((await waiting).body.status).toBe("succeeded")
  await until("the feed sees changes again", async () => {
    const { body: next } = await own.send("POST", "/resources", { name: Bun.randomUUIDv7(), resource: "app" })
    const ended = own.send("GET", `/runs/${next.runid}?wait=30s`)
    await own.endRun(next.runid)
    return (await ended).body.status === "succeeded"
  })
})
