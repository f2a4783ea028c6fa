import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { type Flags, loadConfig } from "../src/config.ts"
import { ConveyorError } from "../src/errors.ts"
import { tempFolder } from "./rig/temp-folder.ts"

const nowhere = "/nowhere/at/all"

function load(input: { flags?: Flags; env?: Record<string, string>; cwd?: string }) {
  return loadConfig({ flags: input.flags ?? {}, env: input.env ?? {}, cwd: input.cwd ?? nowhere })
}

async function faultsOf(input: Parameters<typeof load>[0]) {
  const thrown = await load(input).catch((error: unknown) => error)
  if (!(thrown instanceof ConveyorError)) throw new Error("The configuration was expected to be refused")
  return thrown.faults
}

async function withFile(text: string) {
  const folder = await tempFolder()
  await Bun.write(join(folder.path, "conveyor.yml"), text)
  return folder
}

describe("the configuration", () => {
  test("is the defaults where nothing is said, with absolute paths", async () => {
    expect(await load({})).toEqual({
      host: "127.0.0.1",
      port: 8080,
      advertise: undefined,
      data: `${nowhere}/.conveyor`,
      drivers: `${nowhere}/drivers`,
      pipelines: `${nowhere}/pipelines`,
      store: { type: "sqlite", file: `${nowhere}/.conveyor/conveyor.sqlite` },
      logLevel: "warn",
      graceMs: 10_000,
      attemptsMax: 64,
      workerBytesMax: 1024 * 1024 * 1024,
      leaseTtlMs: 10_000,
      keepRunsForMs: 30 * 86_400_000,
      keepRunsMax: 10_000,
      env: {},
      keepVersionsMax: 20,
      keepWorkspacesForMs: 86_400_000,
      labels: {},
    })
  })

  test("is frozen", async () => {
    expect(Object.isFrozen(await load({}))).toBe(true)
  })

  test("takes flags over variables over the file over defaults", async () => {
    await using folder = await withFile("host: file\nport: 1\ngrace: 1s\n")
    const config = await load({
      flags: { host: "flag" },
      env: { CONVEYOR_HOST: "variable", CONVEYOR_PORT: "2" },
      cwd: folder.path,
    })
    expect([config.host, config.port, config.graceMs, config.attemptsMax]).toEqual(["flag", 2, 1_000, 64])
  })

  test("takes a variable that is empty as not set", async () => {
    expect((await load({ env: { CONVEYOR_PORT: "" } })).port).toBe(8080)
  })

  test("takes an address of this host for others, and refuses what is none", async () => {
    const advertised = async (advertise: string) => (await load({ flags: { advertise } })).advertise
    expect(await advertised("https://ci.example.org/")).toBe("https://ci.example.org")
    expect(await advertised("http://10.0.0.7:8080")).toBe("http://10.0.0.7:8080")
    for (const text of ["10.0.0.7:8080", "http://", "http://a/b", "http://a?b", "ftp://a"])
      await expect(advertised(text)).rejects.toThrow("The configuration is not valid")
  })

  test("reads paths in a file relative to the file", async () => {
    await using folder = await withFile("data: state\n")
    const config = await load({ flags: { config: join(folder.path, "conveyor.yml") } })
    expect(config.data).toBe(join(folder.path, "state"))
  })

  test.each([
    ["memory", { type: "memory" }],
    ["sqlite", { type: "sqlite", file: `${nowhere}/.conveyor/conveyor.sqlite` }],
    ["sqlite:here.db", { type: "sqlite", file: `${nowhere}/here.db` }],
    ["/var/here.db", { type: "sqlite", file: "/var/here.db" }],
    ["etcd://127.0.0.1:2379", { type: "etcd", endpoints: ["127.0.0.1:2379"], prefix: "conveyor/" }],
    ["etcd://a:1,b:2/ci/", { type: "etcd", endpoints: ["a:1", "b:2"], prefix: "ci/" }],
  ] as const)("understands the store %s", async (store, expected) => {
    expect((await load({ flags: { store } })).store).toEqual(expected as never)
  })

  test("names every fault at once, each with its flag, its variable, or its line", async () => {
    await using folder = await withFile("# settings\nport: many\nprot: 1\n")
    const faults = await faultsOf({
      flags: { store: "sqllite" },
      env: { CONVEYOR_LOG_LEVEL: "wran" },
      cwd: folder.path,
    })
    expect(faults).toContainEqual(expect.objectContaining({ file: "conveyor.yml", line: 2, column: 1 }))
    expect(faults).toContainEqual(expect.objectContaining({ line: 3, nearest: "port" }))
    expect(faults.find((fault) => fault.message.startsWith("--store:"))?.nearest).toBe("sqlite")
    expect(faults.find((fault) => fault.message.startsWith("CONVEYOR_LOG_LEVEL:"))?.nearest).toBe("warn")
    expect(faults).toHaveLength(4)
  })

  test("has a fault point for tests of crashes, where its variable asks for it", async () => {
    expect((await load({})).killAfterCommit).toBeUndefined()
    expect((await load({ env: { CONVEYOR_FAULT_KILL_AFTER_COMMIT: "3" } })).killAfterCommit).toBe(3)
  })

  test("keeps runs longer than any timer runs, where it is told to", async () => {
    expect((await load({ flags: { "keep-runs-for": "365d" } })).keepRunsForMs).toBe(365 * 86_400_000)
    const faults = await faultsOf({ flags: { "keep-runs-for": "for good" } })
    expect(faults[0]?.message).toContain('Expected a duration such as "12h" or "30d"')
  })

  test("refuses a file that is not YAML, with its line", async () => {
    await using folder = await withFile("port: 1\nport: 2\n")
    expect(await faultsOf({ cwd: folder.path })).toMatchObject([{ file: "conveyor.yml", line: 2 }])
  })

  test("refuses a named file that is missing", async () => {
    const thrown = await load({ flags: { config: "other.yml" } }).catch((error: unknown) => error)
    expect(thrown).toMatchObject({ code: "NOT_FOUND" })
  })
})
