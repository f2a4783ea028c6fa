import { afterAll, expect, test } from "bun:test"
import type { DataRef } from "../../src/model/driver.ts"
import { hostKey } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { until } from "../rig/until.ts"
import { type ApiRig, apiRig, releasePipeline, withRelease } from "./api-rig.ts"

/* Two hosts on one store; the second one's place is taken by servers that answer as a host in trouble might. */

const store = await openSqlite(":memory:")
const [a, b] = (await Promise.all(
  ["a", "b"].map((name) => apiRig({ store, hostId: `host-${name}`, folder: `folder-${name}` })),
)) as [ApiRig, ApiRig]
afterAll(async () => {
  for (const host of [a, b]) await host[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
})
await withRelease(a)

/** The second host says that it is reached there; resolves when the first one knows. */
async function announce(url: string | undefined): Promise<void> {
  await a.put(hostKey("host-b"), {
    hostId: "host-b",
    folder: "folder-b",
    version: "1",
    startedAt: "2026-01-01T00:00:00.000Z",
    ...(url === undefined ? {} : { url }),
    labels: {},
    load: { attempts: 0, attemptsMax: 64 },
    drivers: [],
    driverFaults: [],
  })
  await until("the address is known", async () => {
    const { body } = await a.send("GET", "/hosts")
    return body.length === 1 && body[0].url === url
  })
}

const json = JSON.stringify("é".repeat(50_000))
const source = { name: "web", resource: "app", pipeline: releasePipeline.name }
const runId: string = (await a.send("POST", "/resources", source)).body.runid
const ref: DataRef = await b.results.write(runId, json)
await a.endStep(runId, "clone", { success: true, message: "", dataRef: ref })
const ask = () => a.send("GET", `/runs/${runId}/steps/clone/data`)
const sentence = (why: string) => `The data of step "clone" (${ref.bytes} bytes) cannot be read: ${why}`

/** Asks while something else answers in the second host's place. */
async function askInstead(answer: () => Response | Promise<Response>) {
  await using server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 60, fetch: answer })
  const url = server.url.origin
  await announce(url)
  const { status, body } = await ask()
  await server.stop(true)
  return { status, detail: body.detail, url }
}

test("data that lies on another host is asked for there", async () => {
  await announce(b.url)
  expect(await ask()).toMatchObject({ status: 200, body: JSON.parse(json) })
})

test("a host that serves no API cannot be asked", async () => {
  await announce(undefined)
  const { status, body } = await ask()
  expect([status, body.detail]).toEqual([503, sentence("Host host-b serves no API")])
})

test.each<readonly [string, () => Response, string]>([
  [
    "breaks off",
    () => new Response(json.slice(0, 1_000)),
    "Host host-b at URL does not answer: its answer broke off",
  ],
  ["fails", () => new Response("", { status: 500 }), "Host host-b at URL does not answer: it answered 500"],
  [
    "is of another data folder",
    () => new Response("", { status: 409 }),
    "At URL another host answers for host-b, which needs --advertise",
  ],
])("an answer that %s says so, and that the host may be asked again", async (_, answer, why) => {
  const { status, detail, url } = await askInstead(answer)
  expect([status, detail]).toEqual([503, sentence(why.replace("URL", url))])
})

test("a host that says nothing is not waited for without end", async () => {
  const never = Promise.withResolvers<Response>()
  const { status, detail, url } = await askInstead(() => never.promise)
  never.resolve(new Response())
  expect([status, detail]).toEqual([503, sentence(`Host host-b at ${url} does not answer: It said nothing`)])
}, 20_000)

test.each<readonly [string, () => Response, string]>([
  [
    "has other bytes",
    () => new Response(json.replaceAll("é", "ü")),
    "host host-b has it damaged: there are other bytes in its file",
  ],
  ["has none", () => new Response("", { status: 404 }), "host host-b does not have it any more"],
])("a host that %s does not have the data", async (_, answer, why) => {
  const { status, detail } = await askInstead(answer)
  expect([status, detail]).toEqual([404, sentence(why)])
})

test("an answer without end is not read to its end", async () => {
  const endless = () =>
    new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) }))
  const { status, detail } = await askInstead(endless)
  expect([status, detail]).toEqual([
    404,
    expect.stringMatching(/host host-b has it damaged: there are \d+ bytes in its file$/),
  ])
})
