import { afterAll, describe, expect, test } from "bun:test"
import { activeRunKey, prefixes, runKey } from "../../src/store/keys.ts"
import { until } from "../rig/until.ts"
import { apiRig, releasePipeline, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)
await rig.send("POST", "/pipelines", {
  ...releasePipeline,
  name: "every",
  on: ["create", "update", "delete"],
})
await rig.send("POST", "/pipelines", { ...releasePipeline, name: "late", on: ["update"] })

describe("creating a resource", () => {
  test("starts a run pinned to the pipeline as it is, in the same commit", async () => {
    const { status, body } = await rig.send("POST", "/resources", {
      name: "web",
      resource: "app",
      pipeline: "release",
      metadata: { team: "a" },
      spec: { image: "x" },
      id: "ignored",
    })
    expect(status).toBe(201)
    expect(body).toEqual({
      name: "web",
      runid: expect.any(String),
      message: "Resource created successfully",
      version: "1",
    })
    const pipeline = (await rig.send("GET", "/pipelines/release")).body
    expect(await rig.readRun(body.runid)).toEqual({
      runId: body.runid,
      status: "pending",
      event: "create",
      resource: { type: "app", name: "web", version: 1 },
      pipeline: { name: "release", hash: pipeline.hash },
      createdAt: expect.any(String),
    })
    const [header, active] = await Promise.all([
      rig.store.get(runKey(body.runid)),
      rig.store.get(activeRunKey(body.runid)),
    ])
    expect(active?.modRevision).toBe(header?.modRevision as number)

    const { body: resource } = await rig.send("GET", "/resources/app/web/")
    expect(resource).toMatchObject({
      name: "web",
      resource: "app",
      pipeline: "release",
      version: 1,
      spec: { image: "x" },
    })
    expect(resource.metadata).toEqual({ team: "a", version: "1" })
  })

  test("of a name that is taken is a conflict and starts nothing", async () => {
    const source = { name: "twice", resource: "app", pipeline: "release" }
    const answers = await Promise.all([1, 2, 3].map(() => rig.send("POST", "/resources", source)))
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, 409, 409])
    expect((await rig.send("GET", "/runs?resource=app/twice")).body).toHaveLength(1)
  })

  test("needs its definition, and a pipeline that is there and for its kind", async () => {
    await rig.send("POST", "/resource-definitions", { name: "site", schema: true })
    const missing = await rig.send("POST", "/resources", { name: "x", resource: "apq" })
    expect(missing).toMatchObject({
      status: 404,
      body: { error: expect.stringContaining('did you mean "app"') },
    })
    const unknown = await rig.send("POST", "/resources", { name: "x", resource: "app", pipeline: "relaese" })
    expect(unknown).toMatchObject({
      status: 422,
      body: {
        faults: [{ path: "/pipeline", nearest: "release", message: 'There is no pipeline "relaese"' }],
      },
    })
    const foreign = await rig.send("POST", "/resources", { name: "x", resource: "site", pipeline: "release" })
    expect(foreign).toMatchObject({ status: 422, body: { faults: [{ path: "/pipeline" }] } })
    expect(foreign.body.detail).toContain('for resources of kind "app"')
  })

  test("without a pipeline starts a run too, and so does an empty one of an older client", async () => {
    for (const [name, pipeline] of [
      ["bare", {}],
      ["empty", { pipeline: "" }],
    ] as const) {
      const { body } = await rig.send("POST", "/resources", { name, resource: "app", ...pipeline })
      expect((await rig.readRun(body.runid)).pipeline).toBeUndefined()
    }
  })

  test("whose pipeline does not want it is stored and starts nothing", async () => {
    const { status, body } = await rig.send("POST", "/resources?wait=5m", {
      name: "quiet",
      resource: "app",
      pipeline: "late",
    })
    expect([status, body.runid]).toEqual([201, ""])
    expect((await rig.send("GET", "/resources/app/quiet")).status).toBe(200)
    expect((await rig.send("GET", "/runs?resource=quiet")).body).toEqual([])
  })

  test("refuses bodies that do not validate", async () => {
    for (const [body, path] of [
      [{ resource: "app" }, "/name"],
      [{ name: "a/b", resource: "app" }, "/name"],
      [{ name: "__proto__", resource: "app" }, "/name"],
      [{ name: "ok", resource: "app", metadata: "no" }, "/metadata"],
      [[], ""],
    ] as const) {
      const refused = await rig.send("POST", "/resources", body)
      expect([refused.status, refused.body.faults[0].path]).toEqual([422, path])
    }
  })
})

describe("a spec is checked against the definition", () => {
  const schema = {
    type: "object",
    required: ["size"],
    additionalProperties: false,
    properties: { size: { type: "integer", minimum: 1 }, colour: { enum: ["red", "green"] } },
  }
  for (const [draft, $schema] of [
    ["draft 4", "http://json-schema.org/draft-04/schema#"],
    ["draft 7", "http://json-schema.org/draft-07/schema#"],
    ["draft 2020-12", "https://json-schema.org/draft/2020-12/schema"],
    ["a schema that names no draft", undefined],
  ] as const) {
    test(`of ${draft}, with the path of every fault`, async () => {
      const name = `sized-${draft.replaceAll(" ", "-")}`
      const definition = { name, schema: $schema === undefined ? schema : { ...schema, $schema } }
      expect((await rig.send("POST", "/resource-definitions", definition)).status).toBe(201)
      expect(
        (await rig.send("POST", "/resources", { name: "a", resource: name, spec: { size: 2 } })).status,
      ).toBe(201)
      const refused = await rig.send("POST", "/resources", {
        name: "b",
        resource: name,
        spec: { colour: "gren", sise: 2 },
      })
      expect(refused.status).toBe(422)
      expect(refused.body.faults).toEqual(
        expect.arrayContaining([
          { path: "/spec/size", message: 'Expected the field "size"' },
          { path: "/spec/sise", message: 'The field "sise" is not allowed', nearest: "size" },
          { path: "/spec/colour", message: 'Expected one of "red", "green"', nearest: "green" },
        ]),
      )
    })
  }

  test("what only one draft says is understood in that draft", async () => {
    const exclusive = {
      $schema: "http://json-schema.org/draft-04/schema#",
      minimum: 1,
      exclusiveMinimum: true,
    }
    await rig.send("POST", "/resource-definitions", { name: "four", schema: exclusive })
    expect((await rig.send("POST", "/resources", { name: "a", resource: "four", spec: 1 })).status).toBe(422)
    const tuple = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      prefixItems: [{ type: "string" }],
      items: false,
    }
    await rig.send("POST", "/resource-definitions", { name: "new", schema: tuple })
    expect(
      (await rig.send("POST", "/resources", { name: "a", resource: "new", spec: ["x", 1] })).status,
    ).toBe(422)
  })

  test("fields that are not sent have the definition's defaults in what is stored", async () => {
    const properties = { size: { type: "integer", default: 2 }, colour: { type: "string", default: "red" } }
    await rig.send("POST", "/resource-definitions", {
      name: "filled",
      schema: { properties, required: ["size"] },
    })
    const created = await rig.send("POST", "/resources", { name: "a", resource: "filled" })
    expect(created.status).toBe(201)
    const read = async (path: string) => (await rig.send("GET", `/resources/filled/a${path}`)).body.spec
    expect(await read("")).toEqual({ size: 2, colour: "red" })
    expect((await rig.send("PUT", "/resources/filled/a", { spec: { colour: "green" } })).body.spec).toEqual({
      colour: "green",
      size: 2,
    })
    await rig.send("PUT", "/resource-definitions/filled", { schema: true })
    expect(await read("")).toEqual({ colour: "green", size: 2 })
    expect(await read("/1")).toEqual({ size: 2, colour: "red" })
  })

  test("a default that does not fit is a fault of its definition", async () => {
    const schema = { properties: { size: { type: "integer", default: "2" } } }
    const refused = await rig.send("POST", "/resource-definitions", { name: "unfit", schema })
    expect(refused.status).toBe(422)
    expect(refused.body.faults).toEqual([
      {
        message: "The default does not fit: Expected integer, found string",
        path: "/schema/properties/size/default",
      },
    ])
  })

  test("a changed definition counts from the next resource on", async () => {
    await rig.send("POST", "/resource-definitions", { name: "moving", schema: true })
    expect((await rig.send("POST", "/resources", { name: "a", resource: "moving", spec: 1 })).status).toBe(
      201,
    )
    await rig.send("PUT", "/resource-definitions/moving", { schema: { type: "string" } })
    expect((await rig.send("POST", "/resources", { name: "b", resource: "moving", spec: 1 })).status).toBe(
      422,
    )
  })

  test("each field is held to its own pattern", async () => {
    const properties = { tag: { pattern: "^v[0-9]+$" }, store: { pattern: "^https?://" } }
    await rig.send("POST", "/resource-definitions", { name: "release", schema: { properties } })
    const create = async (name: string, spec: Readonly<Record<string, string>>) =>
      (await rig.send("POST", "/resources", { name, resource: "release", spec })).status
    expect(await create("fine", { tag: "v1", store: "http://here" })).toBe(201)
    expect(await create("no-tag", { tag: "http://here", store: "http://here" })).toBe(422)
    expect(await create("no-store", { tag: "v1", store: "v1" })).toBe(422)
  })

  test("a pattern that burns is a fault, and burns only once", async () => {
    await rig.send("POST", "/resource-definitions", { name: "burning", schema: { pattern: "^(a+)+$" } })
    const spec = `${"a".repeat(40)}b`
    const start = performance.now()
    const refused = await rig.send("POST", "/resources", { name: "a", resource: "burning", spec })
    const firstMs = performance.now() - start
    expect(refused).toMatchObject({ status: 422, body: { faults: [{ path: "/spec" }] } })
    expect(refused.body.error).toContain("takes too long")
    const again = performance.now()
    expect((await rig.send("POST", "/resources", { name: "a", resource: "burning", spec })).status).toBe(422)
    expect(performance.now() - again).toBeLessThan(firstMs)
    expect(
      (await rig.send("POST", "/resources", { name: "a", resource: "burning", spec: "aaa" })).status,
    ).toBe(201)
  })
})

describe("waiting for the run", () => {
  test("answers with the run when it has ended", async () => {
    const answer = rig.send("POST", "/resources?wait=30s", {
      name: "waited",
      resource: "app",
      pipeline: "release",
    })
    const run = await until("the run is there", async () => {
      const [found] = (await rig.send("GET", "/runs?resource=app/waited")).body
      return found
    })
    await rig.startRun(run.runId)
    await rig.endStep(run.runId, "clone", { success: false, message: "no such branch" })
    await rig.endRun(run.runId, { status: "failed", message: 'step "clone" failed' })
    const { status, body } = await answer
    expect([status, body.run.status, body.run.message]).toEqual([201, "failed", 'step "clone" failed'])
    expect(body.run.steps.map((step: { id: string; status: string }) => [step.id, step.status])).toEqual([
      ["clone", "failed"],
      ["build", "skipped"],
    ])
  })

  test("answers with the run as it is when the time is up", async () => {
    const { body } = await rig.send("POST", "/resources?wait=20ms", { name: "slow", resource: "app" })
    expect(body.run.status).toBe("pending")
  })

  test("takes a duration only", async () => {
    expect((await rig.send("POST", "/resources?wait=soon", { name: "n", resource: "app" })).status).toBe(422)
    expect((await rig.send("GET", "/resources/app/n")).status).toBe(404)
  })

  test("two hundred that wait at once are all answered", async () => {
    const waiting = Array.from({ length: 200 }, (_, n) =>
      rig.send("POST", "/resources?wait=1m", { name: `many-${n}`, resource: "app", pipeline: "every" }),
    )
    const ended = new Set<string>()
    await until("all have begun and are ended", async () => {
      const { entries } = await rig.store.list(prefixes.activeRuns)
      for (const { key } of entries) {
        const runId = key.slice(prefixes.activeRuns.length)
        if (!(await rig.readRun(runId)).resource.name.startsWith("many-")) continue
        await rig.endRun(runId)
        ended.add(runId)
      }
      return ended.size === 200
    })
    const answers = await Promise.all(waiting)
    expect(
      answers.every(({ body }) => body.run.status === "succeeded" && body.run.runId === body.runid),
    ).toBe(true)
  })
})

describe("updating and deleting a resource", () => {
  test("keeps both versions of one that is nearly as large as it may be", async () => {
    const large = (letter: string) => ({
      name: "large",
      resource: "app",
      pipeline: "every",
      spec: { image: letter.repeat(900_000) },
    })
    expect((await rig.send("POST", "/resources", large("a"))).status).toBe(201)
    const { status, body } = await rig.send("PUT", "/resources/app/large", large("b"))
    expect([status, body.version]).toEqual([200, "2"])
    expect((await rig.send("GET", "/resources/app/large")).body.spec.image[0]).toBe("b")
    expect((await rig.send("GET", "/resources/app/large/1")).body.spec.image[0]).toBe("a")
    expect((await rig.readRun(body.runid)).resource).toEqual({ type: "app", name: "large", version: 2 })
  })

  test("keeps every version, and starts a run where the pipeline wants it", async () => {
    const source = { name: "versions", resource: "app", pipeline: "every" }
    await rig.send("POST", "/resources", { ...source, spec: { n: 1 } })
    const updated = await rig.send("PUT", "/resources/app/versions", { pipeline: "every", spec: { n: 2 } })
    expect(updated).toMatchObject({
      status: 200,
      body: {
        name: "versions",
        version: "2",
        metadata: { version: "2" },
        spec: { n: 2 },
      },
    })
    expect(await rig.readRun(updated.body.runid)).toMatchObject({ event: "update", resource: { version: 2 } })
    for (const version of [1, 2]) {
      const { body } = await rig.send("GET", `/resources/app/versions/${version}`)
      expect([body.version, body.spec.n]).toEqual([version, version])
    }

    const deleted = await rig.send("DELETE", "/resources/app/versions")
    expect(deleted.status).toBe(204)
    const runId = deleted.headers.get("conveyor-run-id") as string
    expect(await rig.readRun(runId)).toMatchObject({ event: "delete", resource: { version: 2 } })
    expect((await rig.send("GET", "/resources/app/versions")).status).toBe(404)
    expect((await rig.send("GET", "/resources/app/versions/2")).body.spec.n).toBe(2)

    const again = await rig.send("POST", "/resources", { ...source, spec: { n: 3 } })
    expect([again.status, again.body.version]).toEqual([201, "3"])
    expect((await rig.send("GET", "/resources/app/versions/3")).body.spec.n).toBe(3)
    expect((await rig.send("GET", "/resources/app/versions/1")).body.spec.n).toBe(1)
  })

  test("starts nothing where the pipeline wants creates only", async () => {
    await rig.send("POST", "/resources", { name: "once", resource: "app", pipeline: "release" })
    const updated = await rig.send("PUT", "/resources/app/once", { pipeline: "release" })
    expect([updated.status, updated.body.runid]).toEqual([200, ""])
    const deleted = await rig.send("DELETE", "/resources/app/once")
    expect([deleted.status, deleted.headers.has("conveyor-run-id")]).toEqual([204, false])
  })

  test("of a pipeline that is gone cannot be updated and can be deleted", async () => {
    await rig.send("POST", "/pipelines", { ...releasePipeline, name: "fleeting" })
    await rig.send("POST", "/resources", { name: "orphan", resource: "app", pipeline: "fleeting" })
    await rig.send("DELETE", "/pipelines/fleeting")
    expect((await rig.send("PUT", "/resources/app/orphan", { pipeline: "fleeting" })).status).toBe(422)
    expect((await rig.send("DELETE", "/resources/app/orphan")).status).toBe(204)
  })

  test("concurrent updates make one version each", async () => {
    await rig.send("POST", "/resources", { name: "raced", resource: "app" })
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => rig.send("PUT", "/resources/app/raced", { spec: { n } })),
    )
    const versions = answers.map(({ body }) => Number(body.version)).sort((a, b) => a - b)
    expect(versions).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  })

  test("refuses another name or kind than the path's", async () => {
    await rig.send("POST", "/resources", { name: "fixed", resource: "app" })
    const renamed = await rig.send("PUT", "/resources/app/fixed", { name: "moved" })
    expect(renamed).toMatchObject({ status: 422, body: { faults: [{ path: "/name" }] } })
    const retyped = await rig.send("PUT", "/resources/app/fixed", { resource: "site" })
    expect(retyped).toMatchObject({ status: 422, body: { faults: [{ path: "/resource" }] } })
  })
})

describe("reading resources", () => {
  test("lists all, those of a kind, and says when there is no such kind", async () => {
    await using own = await apiRig()
    for (const kind of ["b", "a"]) {
      await own.send("POST", "/resource-definitions", { name: kind, schema: true })
      for (const name of ["two", "one"]) await own.send("POST", "/resources", { name, resource: kind })
    }
    const ids = (body: { resource: string; name: string }[]) =>
      body.map((each) => `${each.resource}/${each.name}`)
    expect(ids((await own.send("GET", "/resources")).body)).toEqual(["a/one", "a/two", "b/one", "b/two"])
    expect(ids((await own.send("GET", "/resources?type=b")).body)).toEqual(["b/one", "b/two"])
    expect(ids((await own.send("GET", "/resources/a/")).body)).toEqual(["a/one", "a/two"])
    const first = await own.send("GET", "/resources?limit=3")
    const next = /^<(.*)>/.exec(first.headers.get("link") ?? "")?.[1] as string
    expect(ids((await own.send("GET", next)).body)).toEqual(["b/two"])
    await own.send("POST", "/resource-definitions", { name: "bare", schema: true })
    expect((await own.send("GET", "/resources/bare")).body).toEqual([])
    expect((await own.send("GET", "/resources/zzz")).status).toBe(404)
  })

  test("what is not there is 404, whatever the path holds", async () => {
    for (const path of [
      "app/no",
      "no/no",
      "app/web/9",
      "app/web/0",
      "app/web/x",
      "app/%00",
      "app/__proto__",
      "__proto__/constructor",
      "..%2f..%2fetc/passwd",
      `app/${"a".repeat(300)}`,
    ]) {
      expect([path, (await rig.send("GET", `/resources/${path}`)).status]).toEqual([path, 404])
    }
    expect(rig.errors).toEqual([])
  })
})
