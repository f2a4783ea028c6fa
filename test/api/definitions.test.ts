import { afterAll, describe, expect, test } from "bun:test"
import { definitionKey } from "../../src/store/keys.ts"
import { apiRig } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())

describe("resource definitions", () => {
  test("a definition is created once", async () => {
    const source = { name: "app", description: "An app", version: "v1", schema: { type: "object" } }
    const created = await rig.send("POST", "/resource-definitions/", {
      ...source,
      unknown: { of: "an older client" },
    })
    expect(created.status).toBe(201)
    expect(created.body).toEqual({
      id: expect.any(String),
      ...source,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    })
    expect(await rig.send("GET", "/resource-definitions/app")).toMatchObject({
      status: 200,
      body: created.body,
    })

    const again = await rig.send("POST", "/resource-definitions", source)
    expect(again).toMatchObject({
      status: 409,
      body: { code: "CONFLICT", error: expect.stringContaining('"app"') },
    })
  })

  test("a body that does not validate is told in plain words", async () => {
    const refused = await rig.send("POST", "/resource-definitions", { name: "bad", version: 1 })
    expect(refused).toMatchObject({
      status: 422,
      body: {
        faults: [
          { message: "Expected a text, found 1", path: "/version" },
          { message: 'Expected the field "schema", which is missing', path: "/schema" },
        ],
      },
    })
  })

  test("apply creates what is not there and updates what is", async () => {
    const first = await rig.send("POST", "/resource-definitions/apply", { name: "applied", schema: true })
    const second = await rig.send("POST", "/resource-definitions/apply", { name: "applied", schema: false })
    expect([first.status, second.status]).toEqual([201, 200])
    expect(second.body).toMatchObject({ id: first.body.id, schema: false, createdAt: first.body.createdAt })
  })

  test("concurrent updates all end with an answer", async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        rig.send("POST", "/resource-definitions/apply", { name: "raced", description: `${n}`, schema: true }),
      ),
    )
    expect(answers.map((answer) => answer.status).sort()).toEqual([...Array(19).fill(200), 201])
  })

  test("a definition is updated and deleted by name", async () => {
    await rig.send("POST", "/resource-definitions", { name: "gone", schema: true })
    const updated = await rig.send("PUT", "/resource-definitions/gone", { schema: { type: "string" } })
    expect(updated).toMatchObject({ status: 200, body: { name: "gone", schema: { type: "string" } } })
    expect(
      await rig.send("PUT", "/resource-definitions/gone", { name: "other", schema: true }),
    ).toMatchObject({
      status: 422,
      body: { faults: [{ path: "/name" }] },
    })
    expect((await rig.send("DELETE", "/resource-definitions/gone/")).status).toBe(204)
    for (const method of ["GET", "DELETE"]) {
      expect((await rig.send(method, "/resource-definitions/gone")).status).toBe(404)
    }
    expect((await rig.send("PUT", "/resource-definitions/gone", { schema: true })).status).toBe(404)
  })

  test("a missing definition names the nearest one", async () => {
    await rig.send("POST", "/resource-definitions", { name: "service", schema: true })
    const missing = await rig.send("GET", "/resource-definitions/servcie")
    expect(missing.body.detail).toBe('There is no resource definition "servcie" (did you mean "service"?)')
  })

  test("what a file declares is not changed through the API", async () => {
    await rig.put(definitionKey("owned"), { id: "1", name: "owned", schema: true, file: "kinds.yaml" })
    for (const [method, path] of [
      ["PUT", "/resource-definitions/owned"],
      ["POST", "/resource-definitions/apply"],
      ["DELETE", "/resource-definitions/owned"],
    ] as const) {
      const body = method === "DELETE" ? undefined : { name: "owned", schema: false }
      const refused = await rig.send(method, path, body)
      expect(refused).toMatchObject({ status: 409, body: { error: expect.stringContaining("kinds.yaml") } })
    }
  })

  test("a body that does not validate tells every fault with its path", async () => {
    const refused = await rig.send("POST", "/resource-definitions", { name: "../etc", schema: "no" })
    expect(refused).toMatchObject({ status: 422, body: { code: "INVALID" } })
    expect(refused.body.faults.map((fault: { path: string }) => fault.path)).toEqual(["/name", "/schema"])
  })

  test("a schema that is none is refused with the path inside it", async () => {
    const refused = await rig.send("POST", "/resource-definitions", {
      name: "bad",
      schema: { properties: { size: { type: "strnig" } } },
    })
    expect(refused.status).toBe(422)
    expect(refused.body.faults[0].path).toBe("/schema/properties/size/type")
    const reference = { $ref: "https://example.invalid/schema.json" }
    expect((await rig.send("POST", "/resource-definitions", { name: "bad", schema: reference })).status).toBe(
      422,
    )
    expect(
      (await rig.send("POST", "/resource-definitions", { name: "bad", schema: { $schema: "draft-5" } }))
        .status,
    ).toBe(422)
  })

  test("lists come in pages, each with the way to the next", async () => {
    await using own = await apiRig()
    for (const n of [3, 1, 2, 5, 4])
      await own.send("POST", "/resource-definitions", { name: `d${n}`, schema: true })
    const names: string[] = []
    let path: string | undefined = "/resource-definitions?limit=2"
    let pages = 0
    while (path !== undefined) {
      const page = await own.send("GET", path)
      names.push(...page.body.map((each: { name: string }) => each.name))
      path = /^<(.*)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1]
      pages++
    }
    expect(names).toEqual(["d1", "d2", "d3", "d4", "d5"])
    expect(pages).toBe(3)
    for (const limit of ["0", "-1", "x", "1.5"]) {
      expect((await own.send("GET", `/resource-definitions?limit=${limit}`)).status).toBe(422)
    }
  })
})
