import { afterAll, describe, expect, test } from "bun:test"
import { activeRunKey, pipelineRevisionKey, resourceVersionKey, runKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { apiRig, releasePipeline, withRelease } from "./api-rig.ts"
import { HookedStore } from "./hooked-store.ts"

const memory = await openSqlite(":memory:")
const store = new HookedStore(memory)
const rig = await apiRig({ store })
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await memory[Symbol.asyncDispose]()
})
await withRelease(rig)

let count = 0
/** A run of a new resource that has ended; its pipeline is the run's own, unless it is to have none. */
async function endedRun({ bare = false } = {}): Promise<{ runId: string; name: string; pipeline: string }> {
  const name = `web-${++count}`
  const pipeline = `release-${count}`
  await rig.send("POST", "/pipelines", { ...releasePipeline, name: pipeline })
  const source = { name, resource: "app", ...(bare ? {} : { pipeline }) }
  const { body } = await rig.send("POST", "/resources", source)
  await rig.endRun(body.runid, { status: "failed", message: "no" })
  return { runId: body.runid, name, pipeline }
}

const edit = (pipeline: string) =>
  rig.send("PUT", `/pipelines/${pipeline}`, { resource: "app", steps: [{ driver: "git" }] })

describe("a rerun", () => {
  test("is a new run of the same version of the resource, which names the one it does again", async () => {
    const { runId, name, pipeline } = await endedRun()
    await rig.send("PUT", `/resources/app/${name}`, { resource: "app", pipeline, spec: { later: true } })
    const { status, body } = await rig.send("POST", `/runs/${runId}/rerun`)
    expect([status, body]).toEqual([
      201,
      { runid: expect.any(String), message: "Rerun created successfully" },
    ])
    const before = await rig.readRun(runId)
    expect(await rig.readRun(body.runid)).toEqual({
      runId: body.runid,
      status: "pending",
      event: "create",
      resource: { type: "app", name, version: 1 },
      pipeline: before.pipeline as NonNullable<typeof before.pipeline>,
      rerunOf: runId,
      createdAt: expect.any(String),
    })
    const header = await rig.store.get(runKey(body.runid))
    expect((await rig.store.get(activeRunKey(body.runid)))?.modRevision).toBe(header?.modRevision as number)
    expect((await rig.send("GET", `/runs/${body.runid}`)).body.rerunOf).toBe(runId)
    expect((await rig.send("GET", `/runs/${runId}`)).body).toMatchObject({ status: "failed" })
  })

  test("takes the pipeline as it is now", async () => {
    const { runId, pipeline } = await endedRun()
    const { body: edited } = await edit(pipeline)
    const { body } = await rig.send("POST", `/runs/${runId}/rerun/`, { original: false })
    expect((await rig.readRun(body.runid)).pipeline).toEqual({ name: pipeline, hash: edited.hash })
  })

  test("takes the original pipeline and drivers when it is asked to, also when the pipeline is gone", async () => {
    const { runId, pipeline } = await endedRun()
    await rig.put(runKey(runId), { ...(await rig.readRun(runId)), drivers: { git: "g1", shell: "s1" } })
    const before = await rig.readRun(runId)
    await edit(pipeline)
    const current = await rig.send("POST", `/runs/${runId}/rerun`)
    expect((await rig.readRun(current.body.runid)).drivers).toBeUndefined()
    await rig.send("DELETE", `/pipelines/${pipeline}`)
    const { status, body } = await rig.send("POST", `/runs/${runId}/rerun`, { original: true })
    expect(status).toBe(201)
    expect(await rig.readRun(body.runid)).toMatchObject({
      pipeline: before.pipeline as NonNullable<typeof before.pipeline>,
      drivers: { git: "g1", shell: "s1" },
    })
    const refused = await rig.send("POST", `/runs/${runId}/rerun`)
    expect(refused).toMatchObject({ status: 422, body: { code: "INVALID" } })
    expect(refused.body.detail).toContain(`no pipeline "${pipeline}" any more`)
  })

  test("without a pipeline is planned anew, or has the original steps", async () => {
    const { runId } = await endedRun({ bare: true })
    const steps = [{ id: "git", driver: "git", needs: [], timeoutMs: 1_000 }]
    await rig.put(runKey(runId), { ...(await rig.readRun(runId)), steps })
    const current = (await rig.send("POST", `/runs/${runId}/rerun`)).body
    expect((await rig.readRun(current.runid)).steps).toBeUndefined()
    const original = (await rig.send("POST", `/runs/${runId}/rerun`, { original: true })).body
    expect((await rig.readRun(original.runid)).steps).toEqual(steps)
  })

  test("works for a resource that is deleted, as its versions are kept", async () => {
    const { runId, name } = await endedRun()
    await rig.send("DELETE", `/resources/app/${name}`)
    expect((await rig.send("POST", `/runs/${runId}/rerun`)).status).toBe(201)
  })

  test("can be waited for, and be done again itself", async () => {
    const { runId } = await endedRun()
    const { body: first } = await rig.send("POST", `/runs/${runId}/rerun?wait=1ms`)
    expect(first.run).toMatchObject({ runId: first.runid, status: "pending", rerunOf: runId })
    await rig.endRun(first.runid)
    const { body: second } = await rig.send("POST", `/runs/${first.runid}/rerun`)
    expect((await rig.readRun(second.runid)).rerunOf).toBe(first.runid)
  })

  test("with a key starts one run, and each run has keys of its own", async () => {
    const [one, other] = [await endedRun(), await endedRun()]
    const rerun = (runId: string, body?: { original: boolean }) =>
      rig.send("POST", `/runs/${runId}/rerun`, body, { "idempotency-key": "again" })
    store.gatherCommits(5)
    const answers = await Promise.all(Array.from({ length: 5 }, () => rerun(one.runId)))
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(201))
    expect(new Set(answers.map(({ body }) => body.runid)).size).toBe(1)
    expect((await rig.send("GET", `/runs?resource=app/${one.name}`)).body).toHaveLength(2)
    expect((await rerun(one.runId, { original: false })).body).toEqual(answers[0]?.body)
    expect((await rerun(one.runId, { original: true })).status).toBe(422)
    expect((await rerun(other.runId)).body.runid).not.toBe(answers[0]?.body.runid)
  })
})

describe("what cannot be done again", () => {
  test("is a run that is not there, or has not ended", async () => {
    for (const id of [Bun.randomUUIDv7(), "x", "..%2fx"]) {
      expect((await rig.send("POST", `/runs/${id}/rerun`)).status).toBe(404)
    }
    const { body } = await rig.send("POST", "/resources", {
      name: "open",
      resource: "app",
      pipeline: "release",
    })
    expect((await rig.send("POST", `/runs/${body.runid}/rerun`)).status).toBe(409)
    await rig.startRun(body.runid)
    const refused = await rig.send("POST", `/runs/${body.runid}/rerun`, { original: true })
    expect([refused.status, refused.body.detail]).toEqual([409, "The run has not ended yet: it is running"])
  })

  test("is a run whose pipeline is for another kind now", async () => {
    await rig.send("POST", "/resource-definitions", { name: "site", schema: true })
    const { runId, pipeline } = await endedRun()
    await rig.send("PUT", `/pipelines/${pipeline}`, { resource: "site", steps: [{ driver: "git" }] })
    const refused = await rig.send("POST", `/runs/${runId}/rerun`)
    expect([refused.status, refused.body.detail]).toEqual([
      422,
      `The pipeline "${pipeline}" is for resources of kind "site" now, not "app"; with "original" the run goes along the one it had`,
    ])
    expect((await rig.send("POST", `/runs/${runId}/rerun`, { original: true })).status).toBe(201)
  })

  test("is a run whose version of the resource or original pipeline was collected", async () => {
    const { runId, name, pipeline } = await endedRun()
    const { hash } = (await rig.send("GET", `/pipelines/${pipeline}`)).body
    await edit(pipeline)
    await rig.store.commit([], [{ type: "delete", key: pipelineRevisionKey(hash) }])
    const refused = await rig.send("POST", `/runs/${runId}/rerun`, { original: true })
    expect([refused.status, refused.body.detail]).toEqual([422, expect.stringContaining(hash)])
    await rig.send("DELETE", `/resources/app/${name}`)
    await rig.store.commit([], [{ type: "delete", key: resourceVersionKey("app", name, 1) }])
    const gone = await rig.send("POST", `/runs/${runId}/rerun`)
    expect([gone.status, gone.body.detail]).toEqual([422, `Version 1 of the app "${name}" is gone`])
  })

  test("is told by a body that does not validate", async () => {
    const { runId } = await endedRun()
    const refused = await rig.send("POST", `/runs/${runId}/rerun`, { original: "yes" })
    expect([refused.status, refused.body.faults[0].path]).toEqual([422, "/original"])
    expect((await rig.send("POST", `/runs/${runId}/rerun`, [])).status).toBe(422)
  })
})

describe("a rerun that is decided on what then changes", () => {
  test("starts on the pipeline that is there when it is committed", async () => {
    const { runId, pipeline } = await endedRun()
    store.interruptCommit(() => edit(pipeline))
    const { body } = await rig.send("POST", `/runs/${runId}/rerun`)
    const { hash } = (await rig.send("GET", `/pipelines/${pipeline}`)).body
    expect((await rig.readRun(body.runid)).pipeline?.hash).toBe(hash)
  })

  test("starts on the same version of the resource, though that is no longer the newest", async () => {
    const { runId, name, pipeline } = await endedRun()
    store.interruptCommit(() => rig.send("PUT", `/resources/app/${name}`, { pipeline }))
    const { status, body } = await rig.send("POST", `/runs/${runId}/rerun`)
    expect([status, (await rig.readRun(body.runid)).resource.version]).toEqual([201, 1])
  })

  test("never starts on what was collected", async () => {
    const { runId, name, pipeline } = await endedRun()
    const { hash } = (await rig.send("GET", `/pipelines/${pipeline}`)).body
    await rig.send("DELETE", `/resources/app/${name}`)
    const lost = (key: string, body: { original: boolean }) => {
      store.interruptCommit(() => memory.commit([], [{ type: "delete", key }]))
      return rig.send("POST", `/runs/${runId}/rerun`, body)
    }
    expect((await lost(pipelineRevisionKey(hash), { original: true })).status).toBe(422)
    expect((await lost(resourceVersionKey("app", name, 1), { original: false })).status).toBe(422)
    expect((await endedAndLost()).status).toBe(404)

    async function endedAndLost() {
      const other = await endedRun()
      store.interruptCommit(() => memory.commit([], [{ type: "delete", key: runKey(other.runId) }]))
      return rig.send("POST", `/runs/${other.runId}/rerun`)
    }
  })

  test("of what failed begins behind what succeeded, and keeps its results", async () => {
    const { runId } = await endedRun()
    const [first] = (await rig.send("GET", `/runs/${runId}`)).body.steps
    await rig.endStep(runId, first.id, { success: true, message: "done", data: { n: 1 } })
    const { body } = await rig.send("POST", `/runs/${runId}/rerun`, { failed: true })
    expect(await rig.readRun(body.runid)).toMatchObject({ rerunOf: runId, workspaceFrom: runId })
    expect((await rig.send("GET", `/runs/${body.runid}`)).body.steps[0]).toMatchObject({
      id: first.id,
      status: "succeeded",
      keptFrom: runId,
      result: { message: "done", data: { n: 1 } },
    })
  })

  test("from a step that is not there names the nearest one", async () => {
    const { runId } = await endedRun()
    const [first] = (await rig.send("GET", `/runs/${runId}`)).body.steps
    const { status, body } = await rig.send("POST", `/runs/${runId}/rerun`, { from: `${first.id}x` })
    expect([status, body.faults[0].nearest]).toEqual([422, first.id])
  })

  test("of what failed is refused when nothing has", async () => {
    const { runId, pipeline } = await endedRun()
    const { body } = await rig.send("POST", `/runs/${runId}/rerun`)
    await rig.endRun(body.runid, { status: "succeeded", message: "" })
    const { status } = await rig.send("POST", `/runs/${body.runid}/rerun`, { failed: true })
    expect([status, pipeline]).toEqual([409, pipeline])
  })

  test("of both a step and what failed is refused", async () => {
    const { runId } = await endedRun()
    const { status, body } = await rig.send("POST", `/runs/${runId}/rerun`, { failed: true, from: "clone" })
    expect([status, body.faults[0].path]).toEqual([422, "/failed"])
  })
})
