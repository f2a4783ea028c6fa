import { afterAll, describe, expect, test } from "bun:test"
import { jsonDepthMax } from "../../src/model/json.ts"
import { runKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { apiRig, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)

async function post(path: string, body: string | ReadableStream, headers: Record<string, string> = {}) {
  const response = await fetch(rig.url + path, { method: "POST", body, headers })
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    body: JSON.parse(await response.text()),
  }
}

describe("an error", () => {
  test("is a problem document that older clients understand too", async () => {
    const { status, headers, body } = await rig.send("GET", "/pipelines/relase?x=1")
    expect(status).toBe(404)
    expect(headers.get("content-type")).toBe("application/problem+json")
    expect(body).toEqual({
      type: "about:blank",
      title: "There is no such thing",
      status: 404,
      detail: 'There is no pipeline "relase" (did you mean "release"?)',
      instance: "/pipelines/relase",
      code: "NOT_FOUND",
      error: 'There is no pipeline "relase" (did you mean "release"?)',
    })
  })

  test("of an unknown path names the nearest one", async () => {
    const { status, body } = await rig.send("GET", "/pipeline")
    expect([status, body.detail]).toEqual([404, 'There is no path "/pipeline" (did you mean "/pipelines"?)'])
    expect((await rig.send("GET", "/")).status).toBe(404)
  })

  test("of a method that a path does not take says which it takes", async () => {
    const { status, headers } = await rig.send("DELETE", "/pipelines/")
    expect([status, headers.get("allow")]).toEqual([405, "POST, GET, HEAD"])
    expect((await rig.send("POST", "/resources/app/web", {})).headers.get("allow")).toBe(
      "GET, HEAD, PUT, DELETE",
    )
    expect((await rig.send("PATCH", "/runs/x")).status).toBe(405)
  })

  test("of HEAD gets what GET says, without the body", async () => {
    for (const path of ["/pipelines", "/health", "/runs/none", "/metrics"]) {
      const get = await fetch(rig.url + path)
      const head = await fetch(rig.url + path, { method: "HEAD" })
      expect([head.status, head.headers.get("content-type")]).toEqual([
        get.status,
        get.headers.get("content-type"),
      ])
      expect(await head.text()).toBe("")
    }
    expect((await fetch(`${rig.url}/nowhere`, { method: "HEAD" })).status).toBe(404)
  })

  test("of HEAD for a stream ends at once", async () => {
    const runId = Bun.randomUUIDv7()
    await rig.put(runKey(runId), {
      runId,
      event: "create",
      resource: { type: "app", name: "a", version: 1 },
      status: "running",
      createdAt: "2026-01-02T03:04:05.000Z",
    })
    const head = await fetch(`${rig.url}/runs/${runId}/events`, { method: "HEAD" })
    expect([head.status, head.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"])
    expect(await head.text()).toBe("")
  })

  test("inside tells nothing and is reported once", async () => {
    await using real = await openSqlite(":memory:")
    let breaks = false
    const store = new Proxy(real, {
      get(target, name) {
        if (breaks && name === "get") return failing
        const member = Reflect.get(target, name)
        return typeof member === "function" ? member.bind(target) : member
      },
    })
    await using own = await apiRig({ store })
    breaks = true
    const { status, body } = await own.send("GET", "/pipelines/x")
    expect([status, body.code]).toEqual([500, "BUG"])
    expect(JSON.stringify(body)).not.toContain("secret")
    expect(own.errors.map(String)).toEqual(["TypeError: secret of the inside"])
  })
})

async function failing(): Promise<never> {
  throw new TypeError("secret of the inside")
}

describe("a body", () => {
  test("that is not JSON is told where", async () => {
    for (const [body, place] of [
      ['{"name": "a",\n  "resource" "app"}', 'expected ":" at line 2, column 14'],
      ["", "expected a value at line 1, column 1"],
      ["[1, 2", 'expected "," or "]" at line 1, column 6'],
      ["{'a': 1}", 'expected a name in quotes or "}" at line 1, column 2'],
      ['{"a": 1,}', "expected a name in quotes at line 1, column 9"],
      ["{} x", "expected the end at line 1, column 4"],
      ["[01]", 'expected a value or "]" at line 1, column 2'],
      ['["é\ttab"]', 'expected a value or "]" at line 1, column 2'],
      ["nul", "expected a value at line 1, column 1"],
    ] as const) {
      const refused = await post("/resources", body)
      expect([body, refused.status, refused.body.detail]).toEqual([
        body,
        400,
        `The body is not JSON: ${place}`,
      ])
    }
  })

  test("over the limit is refused, whether its length is told or not", async () => {
    const large = JSON.stringify({ name: "x".repeat(1_100_000) })
    expect(await post("/resources", large)).toMatchObject({ status: 413, body: { code: "TOO_LARGE" } })
    const chunks = new ReadableStream({
      start(controller) {
        for (let n = 0; n < 12; n++) controller.enqueue(new TextEncoder().encode("x".repeat(100_000)))
        controller.close()
      },
    })
    expect((await post("/resources", chunks)).status).toBe(413)
    const streamed = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"name": "streamed", "reso'))
        controller.enqueue(new TextEncoder().encode('urce": "app"}'))
        controller.close()
      },
    })
    expect((await post("/resources", streamed)).status).toBe(201)
  })

  test("nested too deep is a fault, not a crash", async () => {
    const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`
    for (const levels of [jsonDepthMax + 2, 200_000]) {
      for (const [path, body] of [
        ["/resources", `{"name":"deep","resource":"app","spec":${deep(levels)}}`],
        ["/resources", `{"name":"deep","resource":"app","unknown":${deep(levels)},"metadata":[]}`],
        ["/resource-definitions", `{"name":"deep","schema":{"x":${deep(levels)}}}`],
        [
          "/pipelines",
          `{"name":"deep","resource":"app","metadata":{"x":${deep(levels)}},"steps":[{"driver":"x"}]}`,
        ],
        ["/logs", deep(levels)],
      ] as const) {
        expect((await post(path, body)).status).toBe(422)
      }
    }
  })

  test("named __proto__ inside stays data", async () => {
    const body = '{"name":"proto","resource":"app","spec":{"__proto__":{"polluted":true}}}'
    expect((await post("/resources", body)).status).toBe(201)
    expect("polluted" in {}).toBe(false)
  })
})

describe("a browser", () => {
  const source = JSON.stringify({ name: "from-page", resource: "app" })

  test("of a page from elsewhere may not write", async () => {
    for (const origin of ["https://evil.example", "null", "http://127.0.0.1:1"]) {
      const refused = await post("/resources", source, { origin })
      expect(refused).toMatchObject({
        status: 403,
        type: "application/problem+json",
        body: { code: "FORBIDDEN" },
      })
    }
    expect((await rig.send("GET", "/resources/app/from-page")).status).toBe(404)
  })

  test("that was rebound to loopback under another name is refused", async () => {
    const { port } = new URL(rig.url)
    const headers = { origin: `http://evil.example:${port}`, host: `evil.example:${port}` }
    expect((await post("/resources", source, headers)).status).toBe(403)
  })

  test("of our own page may write", async () => {
    expect((await post("/resources", source, { origin: rig.url })).status).toBe(201)
  })
})

test("an address that is taken is a conflict that names it", async () => {
  const { port } = new URL(rig.url)
  await expect(apiRig({ port: Number(port) })).rejects.toMatchObject({
    code: "CONFLICT",
    message: expect.stringContaining(`127.0.0.1:${port}`),
  })
})
