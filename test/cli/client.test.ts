import { describe, expect, test } from "bun:test"
import { createClient } from "../../src/cli/client.ts"

/** A server of canned answers on a port of its own: the wire is real, what it says is decided here. */
function server(answer: (request: Request) => Response) {
  const bun = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer })
  return { url: bun.url.href, [Symbol.asyncDispose]: () => bun.stop(true) }
}

const stream = (text: string) => new Response(text, { headers: { "content-type": "text/event-stream" } })
const never = new AbortController().signal
const line = (sequence: number) => `id: ${sequence}\ndata: ${JSON.stringify({ sequence, message: "x" })}\n\n`

describe("the client", () => {
  test("says which server does not answer", async () => {
    const gone = server(() => new Response())
    await gone[Symbol.asyncDispose]()
    const error = await createClient(gone.url)
      .get("/health")
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: "SERVER_UNREACHABLE", exit: 3 })
  })

  test("says which server is no host", async () => {
    await using page = server(() => new Response("<html>", { headers: { "content-type": "text/html" } }))
    const client = createClient(page.url)
    for (const ask of [client.get("/"), client.find("/"), client.post("/")]) {
      const error = await ask.catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({
        code: "SERVER_UNREACHABLE",
        message: expect.stringContaining(`${page.url.slice(0, -1)} answers, but not as a Conveyor host: `),
      })
    }
  })

  test("turns a problem into an error with the server's sentence and faults", async () => {
    const faults = [{ message: "Expected a name", path: "/name" }]
    await using host = server(() =>
      Response.json({ detail: "The body does not validate", faults }, { status: 422 }),
    )
    const error = await createClient(host.url)
      .post("/resources", {})
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: "INVALID", message: "The body does not validate", faults })
  })

  test("finds nothing where the server has nothing", async () => {
    await using host = server(() => Response.json({ detail: "none" }, { status: 404 }))
    expect(await createClient(host.url).find("/resource-definitions/app")).toBeUndefined()
  })

  test("takes an address without a scheme", async () => {
    await using host = server(() => Response.json({ ok: true }))
    expect(await createClient(new URL(host.url).host).get("/")).toEqual({ ok: true })
  })

  test("refuses what is not an address", () => {
    expect(() => createClient("http://[")).toThrow("is not the address of a server")
  })

  test("reads each line of a log once, across a lost connection", async () => {
    const asked: (string | null)[] = []
    const answers = [line(1) + line(2), `${line(2) + line(3)}event: end\ndata: {}\n\n`]
    await using host = server((request) => {
      asked.push(request.headers.get("last-event-id"))
      return stream(answers.shift() ?? "")
    })
    const lines = await Array.fromAsync(createClient(host.url).runLog("r", never))
    expect(lines.map(({ sequence }) => sequence)).toEqual([1, 2, 3])
    expect(asked).toEqual([null, "2"])
  })

  test("follows a run's events to its end and passes over what it does not know", async () => {
    const run = { runId: "r", status: "succeeded", steps: [] }
    const step = { id: "build", status: "running" }
    const sent = [
      ["snapshot", run],
      ["weather", { mild: true }],
      ["step", step],
      ["end", run],
    ] as const
    await using host = server(() =>
      stream(sent.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join("")),
    )
    expect(await Array.fromAsync(createClient(host.url).runEvents("r", never))).toEqual([
      { type: "snapshot", run },
      { type: "step", step },
      { type: "end" },
    ] as never)
  })
})
