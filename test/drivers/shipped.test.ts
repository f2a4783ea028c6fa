import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { shippedDrivers } from "../../src/drivers/shipped.ts"
import { isJsonObject } from "../../src/model/json.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { type DriverRig, openDrivers } from "./driver-rig.ts"

let drivers: DriverRig
beforeAll(async () => {
  drivers = await openDrivers()
})
afterAll(() => drivers[Symbol.asyncDispose]())

/** A repository with two commits, a tag on the first and a branch on the second. */
async function repository(): Promise<
  AsyncDisposable & { readonly path: string; readonly commits: readonly string[] }
> {
  const folder = await tempFolder()
  const git = async (...args: string[]): Promise<string> => {
    const identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    const child = Bun.spawn(["git", "-C", folder.path, ...identity, ...args], { stderr: "pipe" })
    const output = await child.stdout.text()
    if ((await child.exited) !== 0) throw new Error(await child.stderr.text())
    return output.trim()
  }
  await git("init", "--quiet", "--initial-branch=main")
  const commits: string[] = []
  for (const text of ["one", "two"]) {
    await Bun.write(join(folder.path, "file"), text)
    await git("add", "file")
    await git("commit", "--quiet", "-m", text)
    commits.push(await git("rev-parse", "HEAD"))
    if (text === "one") await git("tag", "v1")
  }
  await git("branch", "topic")
  return Object.assign(folder, { commits })
}

test("every driver that ships is there without a folder", () => {
  const listed = drivers.host.list().map(({ name, source, resources }) => ({ name, source, resources }))
  expect(listed).toEqual(
    ["archive", "git", "http", "shell"].map((name) => ({ name, source: "builtin", resources: [] })),
  )
})

test("a shipped driver says nothing of itself that would need a worker to find out", async () => {
  const { drivers: shipped } = await shippedDrivers()
  for (const { name } of shipped) {
    const module: unknown = await import(`../../drivers/${name}.ts`)
    const { default: driver } = module as { default: { name?: string; resources?: string[] } }
    expect(driver.name ?? name).toBe(name)
    expect(driver.resources).toBeUndefined()
  }
})

test("shell runs a script and answers exit code and output", async () => {
  const { success, data, attempt } = await drivers.run("shell", {
    run: "echo $A; pwd; echo oops >&2",
    env: { A: 5 },
    cwd: ".",
  })
  expect(success).toBe(true)
  expect(data).toEqual({ exitCode: 0, stdout: `5\n${attempt.workspace}\n`, stderr: "oops\n" })
  expect(attempt.messages("stderr")).toEqual(["oops"])
})

test("shell stops at the first command that fails, and names it", async () => {
  const { success, message, data, attempt } = await drivers.run("shell", {
    commands: ["echo one", ["echo", "a  b"], "exit 3", "echo never"],
  })
  expect({ success, message }).toEqual({ success: false, message: '"exit 3" ended with exit code 3' })
  expect(data).toEqual({ exitCode: 3, stdout: "one\na  b\n", stderr: "" })
  expect(attempt.messages()).toEqual(["one", "a  b"])
})

test("shell stops a script at its first command that fails", async () => {
  const { success, data } = await drivers.run("shell", { run: "echo a\nfalse\necho b" })
  expect(success).toBe(false)
  expect(data).toMatchObject({ stdout: "a\n", exitCode: 1 })
})

test("shell's output is as long as it likes: the end of it is kept, and that is bounded", async () => {
  const { success, data } = await drivers.run("shell", {
    run: "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo the end",
  })
  expect(success).toBe(true)
  expect(data).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/the end\n$/) })
  expect(Buffer.byteLength(JSON.stringify(data))).toBeLessThan(1_000_000)
})

test("an input that does not validate fails the attempt with the path of each fault", async () => {
  const { success, message } = await drivers.run("shell", { run: 5, cwd: true })
  expect(success).toBe(false)
  expect(message).toMatch(/^The step's input does not validate: with\.run: .*; with\.cwd: /)
})

test.each(["archive", "git", "http", "shell"])(
  "%s names its inputs to who asks for another",
  async (driver) => {
    const { success, message } = await drivers.run(driver, { hearders: {} })
    expect(success).toBe(false)
    const { inputSchema } = drivers.host.schemasOf(drivers.hashOf(driver))
    const inputs = isJsonObject(inputSchema?.["properties"]) ? Object.keys(inputSchema["properties"]) : []
    expect(message).toBe(
      `The step's input does not validate: with.hearders: There is no such input; there are ${inputs.join(", ")}`,
    )
  },
)

test.each(["main", "topic", "v1", "commit"])("git clones %s, with and without depth", async (name) => {
  await using source = await repository()
  const ref = name === "commit" ? (source.commits[0] ?? "") : name
  const commit = name === "v1" || name === "commit" ? source.commits[0] : source.commits[1]
  for (const depth of [undefined, 1]) {
    const input = { url: source.path, ref, path: "source", ...(depth === undefined ? {} : { depth }) }
    const { message, success, data, attempt } = await drivers.run("git", input)
    expect({ success, message }).toMatchObject({ success: true })
    expect(data).toMatchObject({ commit: commit ?? "", ref, path: join(attempt.workspace, "source") })
    const text = await Bun.file(join(attempt.workspace, "source/file")).text()
    expect(text).toBe(commit === source.commits[0] ? "one" : "two")
  }
})

test("git takes url and ref from the resource, and can be run again in the same workspace", async () => {
  await using source = await repository()
  const resource = { spec: { repo: source.path, ref: "v1" } }
  const first = drivers.attempt("git", { resource: { ...baseResource, ...resource } })
  expect((await first.result).data).toMatchObject({ commit: source.commits[0] ?? "" })
  await Bun.write(join(first.workspace, "file"), "changed")
  const again = drivers.attempt("git", {
    resource: { ...baseResource, ...resource },
    workspace: first.workspace,
    input: { ref: "main" },
  })
  expect((await again.result).data).toMatchObject({ commit: source.commits[1] ?? "" })
  expect(await Bun.file(join(first.workspace, "file")).text()).toBe("two")
})

test("git fails with git's own words and asks for nothing", async () => {
  await using source = await repository()
  const { success, message } = await drivers.run("git", { url: source.path, ref: "nope" })
  expect(success).toBe(false)
  expect(message).toMatch(/^git fetch failed: .*nope/)
})

test("git says what it was not given, in one line", async () => {
  await using source = await repository()
  const commit = "0123456789".repeat(4)
  const unknown = await drivers.run("git", { url: source.path, ref: commit })
  expect(unknown.message).toBe(`The repository has no commit ${commit}`)
  const nowhere = await drivers.run("git", { url: join(source.path, "nowhere") })
  expect(nowhere.message).toMatch(/^git fetch failed: fatal: .*nowhere/)
})

test("http sends JSON and answers status, headers and JSON", async () => {
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) =>
      Response.json({ method: request.method, got: await request.json() }, { status: 201 }),
  })
  const { success, message, data } = await drivers.run("http", {
    url: `${server.url}hook?token=secret`,
    json: { a: 1 },
    expect: [200, "201-204"],
  })
  expect({ success, message }).toEqual({ success: true, message: `POST ${server.url}hook answered 201` })
  expect(data).toMatchObject({ status: 201, body: { method: "POST", got: { a: 1 } } })
})

test("http fails for a status that was not expected, and still answers the data", async () => {
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response("no", { status: 503 }),
  })
  const { success, message, data } = await drivers.run("http", { url: server.url.href })
  expect({ success, message }).toEqual({
    success: false,
    message: `GET ${server.url} answered 503, expected 200-299`,
  })
  expect(data).toMatchObject({ status: 503, body: "no" })
})

test("http names what it could not reach, without the query", async () => {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() })
  const { href } = server.url
  await server.stop(true)
  const { success, message } = await drivers.run("http", { url: `${href}hook?token=secret` })
  expect(success).toBe(false)
  expect(message).toStartWith(`GET ${href}hook got no answer: `)
})

test("http names neither who asks nor the password that is in a URL", async () => {
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => new Response(request.headers.get("authorization")),
  })
  const { port } = server.url
  const { message, data, attempt } = await drivers.run("http", {
    url: `http://me:secret@127.0.0.1:${port}/a@b`,
  })
  expect(message).toBe(`GET http://127.0.0.1:${port}/a@b answered 200`)
  expect(attempt.messages().join()).not.toContain("secret")
  expect(data).toMatchObject({ body: `Basic ${btoa("me:secret")}` })
})

test.each([
  [{ json: 1, body: "1" }, "Expected one of json, body and file, not several"],
  [{ body: "1", file: "one" }, "Expected one of json, body and file, not several"],
  [{ method: "get", json: null }, "A GET request sends nothing; expected another method, such as POST"],
  [{ method: "HEAD", file: "one" }, "A HEAD request sends nothing; expected another method, such as POST"],
])("http refuses %j before it asks anything, and for good", async (input, fault) => {
  const result = await drivers.attempt("http", { input: { url: "http://127.0.0.1:1", ...input } }).result
  expect(result).toEqual({
    success: false,
    message: `The step's input does not validate: with: ${fault}`,
    retryable: false,
  })
})

test("http keeps the beginning of an answer that has no end", async () => {
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () =>
      new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) })),
  })
  const { success, data } = await drivers.run("http", { url: server.url.href })
  expect(success).toBe(true)
  expect(Buffer.byteLength(JSON.stringify(data))).toBeLessThan(1_000_000)
  await server.stop(true)
})

/** Keeps what is put to a path, and answers it from there. */
function shelf() {
  const kept = new Map<string, Uint8Array>()
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url)
      if (request.method === "PUT") kept.set(pathname, await request.bytes())
      const found = kept.get(pathname)
      return found === undefined
        ? new Response("Not here", { status: 404 })
        : new Response(Buffer.from(found))
    },
  })
  return { kept, url: server.url.href, [Symbol.asyncDispose]: () => server.stop(true) }
}

test("http sends a file as it is, and writes an answer to one", async () => {
  await using folder = await tempFolder()
  await using server = shelf()
  const bytes = crypto.getRandomValues(new Uint8Array(300_000))
  await Bun.write(join(folder.path, "sent"), bytes)
  const url = `${server.url}thing.bin`
  const sent = await drivers.run("http", { url, method: "PUT", file: join(folder.path, "sent") })
  expect(sent).toMatchObject({ success: true })
  expect(server.kept.get("/thing.bin")).toEqual(bytes)

  const { success, data, attempt } = await drivers.run("http", { url, to: "in/thing.bin" })
  const path = join(attempt.workspace, "in/thing.bin")
  expect({ success, data }).toMatchObject({
    success: true,
    data: { status: 200, body: "", path, sizeBytes: bytes.length },
  })
  expect(await Bun.file(path).bytes()).toEqual(bytes)
  expect([...new Bun.Glob("**").scanSync(attempt.workspace)]).toEqual(["in/thing.bin"])
})

test("http writes no answer that was not expected, and sends no file that is not there", async () => {
  await using server = shelf()
  const url = `${server.url}nothing`
  const { success, data, attempt } = await drivers.run("http", { url, to: "answer" })
  expect({ success, data }).toMatchObject({ success: false, data: { status: 404, body: "Not here" } })
  expect(await Bun.file(join(attempt.workspace, "answer")).exists()).toBe(false)

  const missing = await drivers.run("http", { url, method: "PUT", file: "missing" })
  expect(missing).toMatchObject({
    success: false,
    message: `There is no file ${join(missing.attempt.workspace, "missing")}`,
  })
  expect(server.kept.size).toBe(0)
})

test("http leaves no file of an answer that broke off", async () => {
  using server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthe beginning")
      },
    },
  })
  const url = `http://127.0.0.1:${server.port}/`
  const { success, attempt } = await drivers.run("http", { url, to: "answer" })
  expect(success).toBe(false)
  expect([...new Bun.Glob("**").scanSync(attempt.workspace)]).toEqual([])
})

test("http ends when its attempt does", async () => {
  const asked = Promise.withResolvers<void>()
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      asked.resolve()
      return new Promise<Response>(() => {})
    },
  })
  const attempt = drivers.attempt("http", { input: { url: server.url.href }, graceMs: 600_000 })
  await asked.promise
  attempt.abort()
  expect((await attempt.result).success).toBe(false)
  await server.stop(true)
})

test("archive packs a folder, and its checksum is one that sha256sum accepts", async () => {
  await using folder = await tempFolder()
  await mkdir(join(folder.path, "dist/sub"), { recursive: true })
  await Bun.write(join(folder.path, "dist/sub/a"), "content")
  const attempt = drivers.attempt("archive", {
    workspace: folder.path,
    input: { path: "dist", to: "out/d.tar.gz" },
  })
  const { data } = await attempt.result
  const bytes = await Bun.file(join(folder.path, "out/d.tar.gz")).bytes()
  expect(data).toEqual({
    path: join(folder.path, "out/d.tar.gz"),
    sha256: new Bun.CryptoHasher("sha256").update(bytes).digest("hex"),
    sizeBytes: bytes.length,
  })
  const checked = await drivers.attempt("shell", {
    workspace: folder.path,
    input: { run: "cd out; sha256sum -c d.tar.gz.sha256; tar -xzf d.tar.gz; cat dist/sub/a" },
  }).result
  expect(checked.data).toMatchObject({ stdout: "d.tar.gz: OK\ncontent" })
})

test("archive without packing copies a file and writes its checksum", async () => {
  await using folder = await tempFolder()
  await Bun.write(join(folder.path, "app"), "binary")
  const attempt = drivers.attempt("archive", {
    workspace: folder.path,
    input: { path: "app", to: "release/app", pack: false },
  })
  const sha256 = new Bun.CryptoHasher("sha256").update("binary").digest("hex")
  expect((await attempt.result).data).toEqual({
    path: join(folder.path, "release/app"),
    sha256,
    sizeBytes: 6,
  })
  expect(await Bun.file(join(folder.path, "release/app.sha256")).text()).toBe(`${sha256}  app\n`)
})

const baseResource = {
  id: "1",
  name: "shop",
  resource: "app",
  version: 1,
  metadata: {},
  createdAt: "2026-01-01T00:00:00.000Z",
  updatedAt: "2026-01-01T00:00:00.000Z",
}
