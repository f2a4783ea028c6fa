import { afterAll, expect, test } from "bun:test"
import { rm } from "node:fs/promises"
import type { DataRef, RecordedResult } from "../../src/model/driver.ts"
import type { Json } from "../../src/model/json.ts"
import { recorded } from "../../src/results/result-store.ts"
import { stepKey } from "../../src/store/keys.ts"
import { apiRig, releasePipeline, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)

let count = 0
/** A run whose first step gave this data. */
async function runWith(data?: Json): Promise<{ runId: string; stepId: string; ref: DataRef | undefined }> {
  const source = { name: `web-${++count}`, resource: "app", pipeline: releasePipeline.name }
  const runId = (await rig.send("POST", "/resources", source)).body.runid
  const made = { success: true, message: "made", ...(data === undefined ? {} : { data }) }
  const result: RecordedResult = await recorded(made, { runId, results: rig.results })
  await rig.endStep(runId, "clone", result)
  return { runId, stepId: "clone", ref: result.dataRef }
}

const large = { text: "é".repeat(50_000), list: [1, null, true] }
const dataOf = (runId: string, stepId = "clone") => rig.send("GET", `/runs/${runId}/steps/${stepId}/data`)

test("a run shows small data, and of large data its size, its hash and where to get it", async () => {
  const [small, big] = [await runWith({ n: 1 }), await runWith(large)]
  const resultOf = async (runId: string) => (await rig.send("GET", `/runs/${runId}`)).body.steps[0].result
  expect(await resultOf(small.runId)).toEqual({ success: true, message: "made", data: { n: 1 } })
  expect(await resultOf(big.runId)).toEqual({
    success: true,
    message: "made",
    dataRef: {
      bytes: Buffer.byteLength(JSON.stringify(large)),
      sha256: new Bun.CryptoHasher("sha256").update(JSON.stringify(large)).digest("hex"),
      url: `/runs/${big.runId}/steps/clone/data`,
    },
  })
})

test.each<readonly [string, Json]>([
  ["large", large],
  ["small", { n: 1 }],
  ["empty", []],
  ["a number", 0],
  ["null", null],
])("the data of a step is answered as JSON when it is %s", async (_, data) => {
  const { runId } = await runWith(data)
  const { status, headers, body } = await dataOf(runId)
  expect([status, headers.get("content-type")]).toEqual([200, "application/json;charset=utf-8"])
  expect(body).toEqual(data)
})

test("what there is not is told apart: the run, the step, its data", async () => {
  const { runId } = await runWith()
  const details = await Promise.all(
    [dataOf(Bun.randomUUIDv7()), dataOf(runId, "nothing"), dataOf(runId, "build"), dataOf(runId)].map(
      async (answer) => [(await answer).status, (await answer).body.detail],
    ),
  )
  expect(details).toEqual([
    [404, expect.stringContaining("run")],
    [404, expect.stringContaining('step "nothing"')],
    [404, 'The step "build" has no data'],
    [404, 'The step "clone" has no data'],
  ])
})

test("data whose file is gone is not found, and the answer names the host that had it", async () => {
  const { runId, ref } = await runWith(large)
  await rm(rig.results.fileOf(ref as DataRef))
  const { status, body } = await dataOf(runId)
  expect([status, body.detail]).toEqual([
    404,
    `The data of step "clone" (${ref?.bytes} bytes) cannot be read: host host-1 does not have it any more`,
  ])
})

test("data of a host that is gone cannot be answered, and the answer says since when", async () => {
  const { runId, ref } = await runWith(large)
  const state = JSON.parse((await rig.store.get(stepKey(runId, "clone")))?.value ?? "")
  const elsewhere = { ...ref, folder: "folder-2", hostId: "host-2" }
  await rig.put(stepKey(runId, "clone"), { ...state, result: { ...state.result, dataRef: elsewhere } })
  const { status, body } = await dataOf(runId)
  expect([status, body.code]).toEqual([503, "HOST_GONE"])
  expect(body.detail).toMatch(
    /^The data of step "clone" \(\d+ bytes\) cannot be read: Host host-2 has been gone since before \d{4}-/,
  )
})

test("another host is answered with what lies here, when it means this data folder", async () => {
  const { runId, ref } = await runWith(large)
  const get = (path: string) => rig.send("GET", `/data/local/${path}`)
  expect((await get(`${runId}/${ref?.sha256}?folder=folder-1`)).body).toEqual(large)
  expect((await get(`${runId}/${ref?.sha256}?folder=folder-2`)).status).toBe(409)
  for (const path of [
    `${runId}/${"0".repeat(64)}`,
    `${Bun.randomUUIDv7()}/${ref?.sha256}`,
    `${runId}/..%2f..%2flogs`,
    `..%2flogs/${ref?.sha256}`,
  ])
    expect((await get(`${path}?folder=folder-1`)).status).toBe(404)
})

test("large data of a word on how an attempt ended lies in a file too", async () => {
  const { runId } = await runWith()
  const startedAt = "2026-01-01T00:00:00.000Z"
  const interrupted = { attempt: 1, driverHash: "d", hostId: "gone", startedAt }
  const waitingFor = { type: "resolution", interrupted }
  await rig.put(stepKey(runId, "build"), { status: "waiting", waitingFor, since: startedAt, attempt: 1 })
  const outcome = { outcome: "succeeded", message: "built", data: large }
  expect((await rig.send("POST", `/runs/${runId}/steps/build/resolve`, outcome)).status).toBe(202)
  const { resolution } = JSON.parse((await rig.store.get(stepKey(runId, "build")))?.value ?? "")
  expect(resolution.result).toEqual({ success: true, message: "built", dataRef: expect.anything() })
  expect(JSON.parse(new TextDecoder().decode(await rig.results.read(resolution.result.dataRef)))).toEqual(
    large,
  )
})

test("a rerun that keeps large data names the run whose file it is, also when that was a rerun itself", async () => {
  const { runId, ref } = await runWith(large)
  await rig.endRun(runId, { status: "failed", message: "no" })
  const first = (await rig.send("POST", `/runs/${runId}/rerun`, { failed: true })).body.runid
  await rig.endRun(first, { status: "failed", message: "no" })
  const second = (await rig.send("POST", `/runs/${first}/rerun`, { failed: true })).body.runid
  for (const id of [first, second]) {
    expect((await rig.readRun(id)).dataFrom).toEqual([runId])
    const { dataRef } = (await rig.send("GET", `/runs/${id}`)).body.steps[0].result
    expect(dataRef).toEqual({ bytes: ref?.bytes, sha256: ref?.sha256, url: `/runs/${id}/steps/clone/data` })
    expect((await dataOf(id)).body).toEqual(large)
  }
  const whole = (await rig.send("POST", `/runs/${runId}/rerun`)).body.runid
  expect((await rig.readRun(whole)).dataFrom).toBeUndefined()
})
