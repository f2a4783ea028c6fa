import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { join } from "node:path"
import { buildExecutable, runToEnd, start } from "../rig/executable.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { type GitRepository, gitRepository } from "./git-repository.ts"
import { startLab } from "./lab.ts"
import { startReleaseStore } from "./release-store.ts"
import { newSigningKey } from "./signing-key.ts"
import { workflowFolder } from "./workflow-folder.ts"
import { runsAt, stepOf } from "./workflow-runs.ts"

/* The workflows as people run them: the executable, in a folder with pipelines and drivers. */

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

/** The tools of this machine, and no settings of its own. */
const env = { PATH: process.env["PATH"] ?? "" }

async function serve(cwd: string) {
  const host = start([executable.path, "serve", "--port", "0", "--grace", "1s"], { cwd, env })
  const url = (await host.printed(/listening on (http:\S+)/))[1] as string
  return { ...runsAt(url), ...host }
}

/** What a night takes. */
const nightOf = (repository: GitRepository, lab: string, reports: string) => ({
  ...{ repo: repository.path, ref: "main" },
  ...{ lab, reports, budget: "1m", keep: 7 },
})

describe("the executable", () => {
  test.each(["library", "service", "release", "nightly", "monorepo"])(
    "finds no fault in %s",
    async (name) => {
      await using folder = await workflowFolder(name)
      const validation = await runToEnd([executable.path, "validate"], { cwd: folder.path })
      expect(validation).toMatchObject({ exit: 0, stdout: expect.stringContaining(": all valid\n") })
    },
    60_000,
  )

  test("releases, installs, and refuses what was tampered with", async () => {
    await using folder = await workflowFolder("release")
    await using repository = await gitRepository("release")
    await using store = startReleaseStore()
    const key = join(folder.path, "signing.pem")
    await repository.commit({ "release.pub": await newSigningKey(key) })
    await repository.tag("v1.4.0")

    const run = (pipeline: string, spec: Readonly<Record<string, string>>) => {
      const set = Object.entries(spec).flatMap(([field, value]) => ["--set", `${field}=${value}`])
      return runToEnd([executable.path, "run", pipeline, ...set, "--data", "data"], {
        cwd: folder.path,
        env: { ...env, CONVEYOR_ENV: "SIGNING_KEY", SIGNING_KEY: key },
      })
    }
    const release = await run("release", { repo: repository.path, ref: "v1.4.0", store: store.url })
    expect(release).toMatchObject({ exit: 0, stdout: expect.stringContaining("\n✓ succeeded ") })
    expect(store.history).toEqual(["draft v1.4.0", "publish v1.4.0"])

    const installation = {
      release: `${store.url}/releases/v1.4.0`,
      program: "program-v1.4.0.tar.gz",
      key: join(repository.path, "release.pub"),
    }
    const fine = await run("install", installation)
    expect(fine).toMatchObject({ exit: 0, stdout: expect.stringContaining("unpack | This is 1.4.0\n") })

    store.release("v1.4.0")?.set("program-v1.4.0.tar.gz", Buffer.from("something else"))
    const tampered = await run("install", installation)
    expect(tampered.exit).toBe(1)
    expect(tampered.stdout).toMatch(/\n✗ failed .*: step "compare" failed: /)
  }, 60_000)

  test("cleans a night up after Ctrl-C", async () => {
    await using folder = await workflowFolder("nightly")
    await using reports = await tempFolder()
    await using repository = await gitRepository("nightly")
    await using lab = startLab()
    lab.held.add("2")
    await Bun.write(
      join(folder.path, "night.json"),
      JSON.stringify(nightOf(repository, lab.url, reports.path)),
    )
    const command = [executable.path, "run", "nightly", "--resource", "night.json", "--data", "data"]
    await using night = start(command, { cwd: folder.path, env })
    await lab.begun("2")
    night.kill("SIGINT")
    await night.printed(/cancelling the run/)
    expect(await night.exited).toBe(1)
    expect(lab.history.slice(-2)).toEqual([expect.stringMatching(/^A night cut short/), "deleted"])
    expect(await lab.playing()).toEqual([])
  }, 60_000)

  test("plays a night again after kill -9, and cleans up", async () => {
    await using folder = await workflowFolder("nightly")
    await using reports = await tempFolder()
    await using repository = await gitRepository("nightly")
    await using lab = startLab()
    lab.held.add("2")
    await using first = await serve(folder.path)
    const runId = await first.send("nightly", nightOf(repository, lab.url, reports.path))
    await lab.begun("2")
    first.kill("SIGKILL")
    await first.exited
    expect(lab.environments).toEqual(new Set([runId]))

    await using second = await serve(folder.path)
    await lab.begun("2", 2)
    expect(await lab.playing()).toHaveLength(2)
    lab.held.clear()
    const run = await second.ended(runId)
    expect([run.message, run.status]).toEqual(["", "succeeded"])
    expect(stepOf(run, "soak").attempt).toBe(2)
    expect(stepOf(run, "environment").attempt).toBe(1)
    expect(lab.history.slice(3)).toEqual([
      ...["case 1", "case 2", "case 3"],
      expect.stringMatching(/^A good night/),
      "deleted",
    ])
    expect(lab.environments.size).toBe(0)
    expect(await lab.playing()).toEqual([])
  }, 60_000)
})
