import { afterAll, describe, expect, test } from "bun:test"
import { idempotencyKeptMs } from "../../src/model/idempotency.ts"
import type { Json } from "../../src/model/json.ts"
import { prefixes, runKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { apiRig, withRelease } from "./api-rig.ts"
import { HookedStore } from "./hooked-store.ts"

let now = new Date("2026-01-02T03:04:05.000Z")
const memory = await openSqlite(":memory:")
const store = new HookedStore(memory)
const rig = await apiRig({ store, now: () => now })
afterAll(async () => {
  await rig[Symbol.asyncDispose]()
  await memory[Symbol.asyncDispose]()
})
await withRelease(rig)
await rig.send("POST", "/pipelines", {
  name: "late",
  resource: "app",
  on: ["update"],
  steps: [{ driver: "shell" }],
})

let count = 0
const newSource = () => ({
  name: `web-${++count}`,
  resource: "app",
  pipeline: "release",
  spec: { image: "x" },
})
const newKey = () => `order-${Bun.randomUUIDv7()}`
const create = (body: Json, key: string, query = "") =>
  rig.send("POST", `/resources${query}`, body, { "idempotency-key": key })

async function runsOf(name: string): Promise<string[]> {
  const { body } = await rig.send("GET", `/runs?resource=app/${name}`)
  return body.map((run: { runId: string }) => run.runId)
}

describe("a resource that is sent twice with one key", () => {
  test("is created once, and answered the same", async () => {
    const [source, key] = [newSource(), newKey()]
    const first = await create(source, key)
    const second = await create(source, key)
    expect([first.status, first.headers.get("idempotency-replayed")]).toEqual([201, null])
    expect([second.status, second.headers.get("idempotency-replayed")]).toEqual([201, "true"])
    expect(second.body).toEqual(first.body)
    expect(await runsOf(source.name)).toEqual([first.body.runid])
  })

  test("is remembered by the very commit that created it", async () => {
    const key = newKey()
    const { body } = await create(newSource(), key)
    const header = await store.get(runKey(body.runid))
    const { entries } = await store.list(prefixes.idempotency)
    const record = entries.find((entry) => JSON.parse(entry.value).runId === body.runid)
    expect(record?.modRevision).toBe(header?.modRevision as number)
    expect(JSON.parse(record?.value ?? "")).toEqual({
      runId: body.runid,
      response: body,
      bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      createdAt: now.toISOString(),
    })
  })

  test("is created once when all come at the same time", async () => {
    const [source, key] = [newSource(), newKey()]
    store.gatherCommits(8)
    const answers = await Promise.all(Array.from({ length: 8 }, () => create(source, key)))
    const runIds = new Set(answers.map(({ body }) => body.runid))
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(201))
    expect(answers.filter(({ headers }) => headers.get("idempotency-replayed") === null)).toHaveLength(1)
    expect(await runsOf(source.name)).toEqual([...runIds])
  })

  test("is not created again when it was created and deleted by the others meanwhile", async () => {
    const [source, key] = [newSource(), newKey()]
    store.interruptCommit(async () => {
      await create(source, key)
      await rig.send("DELETE", `/resources/app/${source.name}`)
    })
    const late = await create(source, key)
    expect([late.status, late.headers.get("idempotency-replayed")]).toEqual([201, "true"])
    expect((await rig.send("GET", `/resources/app/${source.name}`)).status).toBe(404)
  })

  test("is created once when the first answer was lost", async () => {
    const [source, key] = [newSource(), newKey()]
    store.lostAnswers = 1
    expect((await create(source, key)).status).toBe(503)
    const again = await create(source, key)
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"])
    expect(await runsOf(source.name)).toEqual([again.body.runid])
  })

  test("is the same when its fields stand in another order or are null", async () => {
    const [source, key] = [newSource(), newKey()]
    const first = await create(source, key)
    const { spec, pipeline, ...rest } = source
    const again = await create({ spec, unknown: 1, metadata: null, pipeline, ...rest }, key)
    expect(again.body).toEqual(first.body)
  })

  test("is answered as it was, whatever has become of it", async () => {
    const [source, key] = [newSource(), newKey()]
    const first = await create(source, key)
    await rig.send("PUT", `/resources/app/${source.name}`, source)
    await rig.send("DELETE", `/resources/app/${source.name}`)
    expect((await create(source, key)).body).toEqual(first.body)
    expect((await rig.send("GET", `/resources/app/${source.name}`)).status).toBe(404)
  })

  test("waits for the run that the first one started", async () => {
    const [source, key] = [newSource(), newKey()]
    const { body } = await create(source, key)
    const waiting = create(source, key, "?wait=30s")
    await rig.endRun(body.runid)
    expect((await waiting).body).toMatchObject({ runid: body.runid, run: { status: "succeeded" } })
    expect((await create(source, key, "?wait=30s")).body.run.runId).toBe(body.runid)
  })

  test("is answered without the run when that is gone", async () => {
    const [source, key] = [newSource(), newKey()]
    const first = await create(source, key)
    await store.commit([], [{ type: "delete", key: runKey(first.body.runid) }])
    expect((await create(source, key, "?wait=30s")).body).toEqual(first.body)
  })

  test("needs no run to be remembered", async () => {
    const [source, key] = [{ ...newSource(), pipeline: "late" }, newKey()]
    const first = await create(source, key)
    const second = await create(source, key, "?wait=30s")
    expect(first.body.runid).toBe("")
    expect([second.status, second.body]).toEqual([201, first.body])
  })
})

describe("a key", () => {
  test("that comes with another body is refused, and nothing is created", async () => {
    const [source, key] = [newSource(), newKey()]
    const { body } = await create(source, key)
    const other = await create({ ...source, name: "other" }, key)
    expect(other).toMatchObject({ status: 422, body: { code: "INVALID" } })
    expect(other.body.detail).toContain(key)
    expect(other.body.detail).toContain(body.runid)
    expect((await rig.send("GET", "/resources/app/other")).status).toBe(404)
  })

  test("that comes with two bodies at the same time creates one of them", async () => {
    const key = newKey()
    store.gatherCommits(2)
    const answers = await Promise.all([1, 2].map(() => create(newSource(), key)))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 422])
  })

  test("has 1 to 255 visible ASCII characters", async () => {
    for (const key of ["", "a b", "a\tb", "é", "x".repeat(256)]) {
      const refused = await create(newSource(), key)
      expect([refused.status, refused.body.faults?.[0].message]).toEqual([
        422,
        "Idempotency-Key: expected 1 to 255 visible ASCII characters",
      ])
    }
    for (const key of ["!", "~", '"a/b"', "x".repeat(255)]) {
      expect((await create(newSource(), key)).status).toBe(201)
    }
  })

  test("is still free after a request that was refused", async () => {
    const [source, key] = [newSource(), newKey()]
    expect((await create({ ...source, pipeline: "relaese" }, key)).status).toBe(422)
    expect((await create(source, key)).status).toBe(201)
    const taken = newKey()
    expect((await create(source, taken)).status).toBe(409)
    expect((await create(newSource(), taken)).status).toBe(201)
  })

  test("may be used anew after a day, also by two at the same time", async () => {
    const key = newKey()
    const first = await create(newSource(), key)
    now = new Date(now.getTime() + idempotencyKeptMs)
    const source = newSource()
    store.gatherCommits(2)
    const answers = await Promise.all([1, 2].map(() => create(source, key)))
    expect(answers.map(({ status }) => status)).toEqual([201, 201])
    expect(answers[0]?.body).toEqual(answers[1]?.body)
    expect(answers[0]?.body.runid).not.toBe(first.body.runid)
    expect(await runsOf(source.name)).toHaveLength(1)
  })
})

test("without a key nothing is taken for a repeat", async () => {
  const source = newSource()
  expect((await rig.send("POST", "/resources", source)).status).toBe(201)
  expect((await rig.send("POST", "/resources", source)).status).toBe(409)
})
