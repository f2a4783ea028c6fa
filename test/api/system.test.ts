import { afterAll, describe, expect, test } from "bun:test"
import * as v from "valibot"
import { explanationShape } from "../../src/api/explanation-shape.ts"
import * as shapes from "../../src/api/shapes.ts"
import { hostDriverKey, hostKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { until } from "../rig/until.ts"
import { apiRig, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)

const driver = (name: string, hash: string) => ({
  name,
  hash,
  resources: ["*"],
  type: "module",
  source: `${name}.ts`,
})
const startedAt = "2026-01-02T03:04:05.000Z"

describe("health", () => {
  test("is ok while the store answers", async () => {
    const { status, body } = await rig.send("GET", "/health/")
    expect([status, body]).toEqual([200, { status: "ok", version: "1.2.3", hostId: "host-1", store: "ok" }])
  })

  test("is 503 when the store has gone", async () => {
    const store = await openSqlite(":memory:")
    await using own = await apiRig({ store })
    await store[Symbol.asyncDispose]()
    const { status, body } = await own.send("GET", "/health")
    expect([status, body.store]).toEqual([503, "unavailable"])
  })
})

test("hosts and their drivers are listed, each driver once for each content", async () => {
  const fault = { message: "Unexpected token", file: "git.ts", line: 3 }
  const unborn = { message: "No default export", file: "new.ts" }
  await rig.put(hostKey("host-1"), {
    hostId: "host-1",
    folder: "f1",
    version: "1",
    startedAt,
    drivers: [driver("git", "a"), driver("shell", "s")],
    labels: {},
    load: { attempts: 0, attemptsMax: 64 },
    driverFaults: [fault, unborn],
  })
  await rig.put(hostKey("host-2"), {
    hostId: "host-2",
    folder: "f2",
    version: "1",
    startedAt,
    drivers: [driver("git", "b"), driver("shell", "s")],
    labels: {},
    load: { attempts: 0, attemptsMax: 64 },
    driverFaults: [],
  })
  const { body: hosts } = await rig.send("GET", "/hosts")
  expect(hosts.map((host: { hostId: string }) => host.hostId)).toEqual(["host-1", "host-2"])
  const { body: drivers } = await rig.send("GET", "/drivers/")
  expect(drivers).toEqual([
    { ...driver("git", "a"), hosts: ["host-1"], faults: [fault] },
    { ...driver("git", "b"), hosts: ["host-2"], faults: [] },
    { name: "new", source: "new.ts", hosts: ["host-1"], faults: [unborn] },
    { ...driver("shell", "s"), hosts: ["host-1", "host-2"], faults: [] },
  ])
  const page = await rig.send("GET", "/drivers?limit=3")
  const next = /^<(.*)>/.exec(page.headers.get("link") ?? "")?.[1] as string
  expect((await rig.send("GET", next)).body).toEqual(drivers.slice(3))
})

test("one driver is shown with what each content of it takes and gives", async () => {
  await using own = await apiRig()
  for (const [hostId, hash] of [
    ["host-1", "a"],
    ["host-2", "b"],
  ] as const) {
    await own.put(hostKey(hostId), {
      hostId,
      version: "1",
      startedAt,
      drivers: [driver("git", hash), driver("shell", "s")],
      labels: {},
      load: { attempts: 0, attemptsMax: 64 },
      driverFaults: [],
    })
  }
  const schemas = { inputSchema: { type: "object" }, outputSchema: { type: "string" } }
  await own.put(hostDriverKey("host-1", "a"), schemas)
  const { body } = await own.send("GET", "/drivers/git")
  expect(body).toEqual([
    { ...driver("git", "a"), hosts: ["host-1"], faults: [], ...schemas },
    { ...driver("git", "b"), hosts: ["host-2"], faults: [] },
  ])
  const missing = await own.send("GET", "/drivers/gti")
  expect([missing.status, missing.body.detail]).toEqual([
    404,
    'There is no driver "gti" (did you mean "git"?)',
  ])
})

test("metrics count what runs and steps come to", async () => {
  await using own = await apiRig()
  await withRelease(own)
  const { body } = await own.send("POST", "/resources", { name: "a", resource: "app", pipeline: "release" })
  const metric = async (name: string) => {
    const { body: text } = await own.send("GET", "/metrics")
    return text
      .split("\n")
      .find((line: string) => line.startsWith(`${name} `))
      ?.split(" ")[1]
  }
  await until("the run is counted", async () => (await metric("conveyor_runs_active")) === "1")
  await own.startRun(body.runid)
  // That writes the run again, in the same status.
  await own.send("POST", `/runs/${body.runid}/cancel`)
  await own.endStep(body.runid, "clone", { success: false, message: "" })
  await own.endRun(body.runid, { status: "failed", message: "" })
  await until("its end is counted", async () => (await metric("conveyor_runs_active")) === "0")
  for (const name of [
    'conveyor_runs_total{status="pending"}',
    'conveyor_runs_total{status="running"}',
    'conveyor_runs_total{status="failed"}',
    'conveyor_steps_total{status="failed"}',
  ]) {
    expect([name, await metric(name)]).toEqual([name, "1"])
  }
  expect(await metric("process_resident_memory_bytes")).toBeDefined()
})

describe("the API's own description", () => {
  test("lists every route with the schemas of what it takes and answers", async () => {
    const { status, body } = await rig.send("GET", "/openapi/json")
    expect([status, body.openapi]).toEqual([200, "3.1.0"])
    expect(Object.keys(body.paths).sort()).toEqual([
      "/data/local/{runid}/{sha256}",
      "/drivers",
      "/drivers/{name}",
      "/health",
      "/hosts",
      "/logs",
      "/logs/local/{runid}",
      "/logs/pipeline/{runid}",
      "/logs/streams/{driver}/{runid}",
      "/metrics",
      "/openapi",
      "/openapi/json",
      "/pipelines",
      "/pipelines/{name}",
      "/resource-definitions",
      "/resource-definitions/apply",
      "/resource-definitions/{name}",
      "/resources",
      "/resources/{type}",
      "/resources/{type}/{name}",
      "/resources/{type}/{name}/{version}",
      "/runs",
      "/runs/{id}",
      "/runs/{id}/cancel",
      "/runs/{id}/events",
      "/runs/{id}/explain",
      "/runs/{id}/rerun",
      "/runs/{id}/steps/{step}/data",
      "/runs/{id}/steps/{step}/resolve",
    ])
    const create = body.paths["/resources"].post
    expect(create.requestBody.required).toBe(true)
    expect(body.paths["/runs/{id}/rerun"].post.requestBody.required).toBe(false)
    expect(create.requestBody.content["application/json"].schema.required).toEqual(["name", "resource"])
    expect(create.responses["201"].content["application/json"].schema.properties.runid).toEqual({
      type: "string",
    })
    expect(create.parameters).toContainEqual(
      expect.objectContaining({ name: "Idempotency-Key", in: "header" }),
    )
    expect(create.responses.default.content["application/problem+json"]).toBeDefined()
  })

  test("is a page that loads nothing from elsewhere", async () => {
    const { status, headers, body } = await rig.send("GET", "/openapi")
    expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"])
    expect(body).toContain("/resources/:type/:name")
    expect(body).toContain("Idempotency-Key")
    expect(body).not.toMatch(/(?:src|href)="(?:https?:)?\/\/|@import|url\(/)
  })
})

test("every answer has the shape that is described, and nothing beside it", async () => {
  await using own = await apiRig()
  await withRelease(own)
  const source = { name: "a", resource: "app", pipeline: "release" }
  const { body: created } = await own.send("POST", "/resources?wait=1ms", source)
  await own.startRun(created.runid)
  await own.endStep(created.runid, "clone", { success: true, message: "cloned" })
  await own.endRun(created.runid)
  await own.send("POST", "/logs", { runid: created.runid, message: "hello" })
  await own.put(hostDriverKey("h", "a"), { inputSchema: { type: "object" }, outputSchema: {} })
  await own.put(hostKey("h"), {
    hostId: "h",
    folder: "f",
    version: "1",
    startedAt,
    url: own.url,
    drivers: [driver("git", "a")],
    labels: {},
    load: { attempts: 0, attemptsMax: 64 },
    driverFaults: [{ message: "no", file: "x.ts", line: 1, column: 2 }],
  })
  const expectShape = (schema: v.GenericSchema, body: unknown) => expect(v.parse(schema, body)).toEqual(body)
  expectShape(shapes.createdResourceShape, created)
  const { body: rerun } = await own.send("POST", `/runs/${created.runid}/rerun?wait=1ms`)
  expectShape(shapes.rerunShape, rerun)
  expectShape(shapes.updatedResourceShape, (await own.send("PUT", "/resources/app/a", source)).body)
  expectShape(shapes.problemShape, (await own.send("POST", "/resources", {})).body)
  for (const [path, schema] of [
    ["/resource-definitions", v.array(shapes.definitionShape)],
    ["/resources", v.array(shapes.resourceShape)],
    ["/pipelines", v.array(shapes.pipelineShape)],
    ["/runs", v.array(shapes.runSummaryShape)],
    [`/runs/${created.runid}`, shapes.runShape],
    [`/runs/${rerun.runid}`, shapes.runShape],
    [`/runs/${created.runid}/explain`, explanationShape],
    [`/runs/${rerun.runid}/explain`, explanationShape],
    ["/logs", v.array(shapes.logLineShape)],
    ["/drivers", v.array(shapes.driverShape)],
    ["/drivers/git", v.array(shapes.describedDriverShape)],
    ["/hosts", v.array(shapes.hostShape)],
    ["/health", shapes.healthShape],
  ] as const) {
    const { body } = await own.send("GET", path)
    expectShape(schema, body)
    if (Array.isArray(body)) expect(body).not.toBeEmpty()
  }
})
