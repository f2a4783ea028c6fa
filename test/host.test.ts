import { expect, test } from "bun:test"
import { mkdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import pino from "pino"
import { loadConfig } from "../src/config.ts"
import { startHost } from "../src/host.ts"
import { advertisedUrl } from "../src/hosts/advertised-url.ts"
import type { DriverSchemas } from "../src/model/driver.ts"
import type { HostRecord } from "../src/model/host.ts"
import { tempFolder } from "./rig/temp-folder.ts"
import { until } from "./rig/until.ts"

const log = pino({ level: "silent" })

/** A host on the data folder, and nothing else that others could also use. */
async function start(data: string) {
  const flags = { data, port: "0", store: "memory", drivers: join(data, "d"), pipelines: join(data, "p") }
  return await startHost(await loadConfig({ flags, env: {}, cwd: dirname(data) }), { log })
}

test("a second host on a data folder is refused, also where their stores are elsewhere", async () => {
  await using folder = await tempFolder()
  {
    await using host = await start(folder.path)
    await expect(start(folder.path)).rejects.toThrow(`Another process uses the data folder ${folder.path}`)
    // The one that was refused has touched nothing: the mark of the running one is still there.
    expect(await Bun.file(join(folder.path, "running")).text()).toBe(`${process.pid}\n`)
    expect((await fetch(`${host.url}/health`)).status).toBe(200)
  }
  expect(await Bun.file(join(folder.path, "running")).exists()).toBe(false)
  await using again = await start(folder.path)
  expect(again.hostId).not.toBe("")
})

test("a host keeps a schema of its pipelines for editors, as soon as there is a place for it", async () => {
  await using folder = await tempFolder()
  await using _ = await start(folder.path)
  const schema = join(folder.path, "p/.schema.json")
  const says = (text: string) => async () =>
    (await Bun.file(schema).exists()) && (await Bun.file(schema).text()).includes(text)
  expect(await Bun.file(schema).exists()).toBe(false)
  await mkdir(join(folder.path, "p"))
  await until("the folder has it", says("with-shell"))
  await mkdir(join(folder.path, "d"))
  await Bun.write(join(folder.path, "d/deploy.js"), "export default { reconcile() {} }")
  await until("it names a driver that came later", says("deploy"))
})

test("a data folder keeps its id from start to start, and gives it to nobody else", async () => {
  await using folder = await tempFolder()
  const idOf = async (data: string) => {
    await using host = await start(data)
    const [record] = (await (await fetch(`${host.url}/hosts`)).json()) as HostRecord[]
    return record?.folder
  }
  const id = await idOf(join(folder.path, "one"))
  expect(id).toMatch(/^[0-9a-f-]{36}$/)
  expect(await idOf(join(folder.path, "one"))).toBe(id)
  expect(await idOf(join(folder.path, "two"))).not.toBe(id)
})

test("a host that listens on every address tells the others one that they can reach", () => {
  expect(advertisedUrl("http://10.0.0.7:8080")).toBe("http://10.0.0.7:8080")
  for (const url of ["http://0.0.0.0:8080", "http://[::]:8080"]) {
    expect(advertisedUrl(url)).toMatch(/^http:\/\/[\w.-]+:8080$/)
    expect(advertisedUrl(url)).not.toMatch(/0\.0\.0\.0|127\.0\.0\.1/)
  }
})

test("a data folder that cannot be made is an error that names it", async () => {
  await using folder = await tempFolder()
  const file = join(folder.path, "file")
  await Bun.write(file, "")
  await expect(start(file)).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
    message: expect.stringContaining(`The data folder ${file} cannot be made: `),
  })
})

test("a host shows what its drivers take, beside a record of itself that stays small", async () => {
  await using folder = await tempFolder()
  await using host = await start(folder.path)
  const [shell] = (await (await fetch(`${host.url}/drivers/shell`)).json()) as readonly DriverSchemas[]
  expect(shell?.inputSchema?.["properties"]).toHaveProperty("run")
  expect(shell?.outputSchema?.["properties"]).toHaveProperty("exitCode")
  expect(await (await fetch(`${host.url}/hosts`)).text()).not.toContain("inputSchema")
})
