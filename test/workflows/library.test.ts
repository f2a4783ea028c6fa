import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { join } from "node:path"
import { type GitRepository, gitRepository } from "./git-repository.ts"
import { type NpmRegistry, startNpmRegistry } from "./npm-registry.ts"
import { startWorkflow, type WorkflowHost } from "./workflow-host.ts"
import { statusesOf, stepOf } from "./workflow-runs.ts"

/* A real git, a real npm that packs and publishes, and a registry it can publish to. */

let host: WorkflowHost
beforeAll(async () => {
  host = await startWorkflow("library", (folder) => ({ NPMRC: join(folder, "npmrc") }))
})
afterAll(() => host[Symbol.asyncDispose]())

let repository: GitRepository
let registry: NpmRegistry
beforeEach(async () => {
  repository = await gitRepository("library")
  registry = startNpmRegistry()
  // The registry asks nobody who he is; npm wants a token all the same.
  const token = `//${registry.url.slice("http://".length)}/:_authToken=t`
  const lines = [token, `cache=${host.folder}/npm-cache`, "fetch-retries=0", "update-notifier=false", ""]
  await Bun.write(join(host.folder, "npmrc"), lines.join("\n"))
})
afterEach(async () => {
  registry[Symbol.dispose]()
  await repository[Symbol.asyncDispose]()
})

const push = (ref = "main") => host.send("library", { repo: repository.path, ref, registry: registry.url })

const everyStep = ["clone", "package", "lint", "unit", "pack", "published", "publish", "verify"]
const all = (status: string) => Object.fromEntries(everyStep.map((id) => [id, status]))

describe("a library", () => {
  test("is published from main when its tests have passed, and each version once", async () => {
    const first = await host.ended(await push())
    expect([first.message, statusesOf(first)]).toEqual(["", all("succeeded")])
    const { tarball, integrity } = registry.published.get("text-tools@1.2.0") ?? {}
    const digest = new Bun.CryptoHasher("sha512").update(tarball ?? "").digest("base64")
    expect(integrity).toBe(`sha512-${digest}`)

    const second = await host.ended(await push())
    expect(statusesOf(second)).toEqual({ ...all("succeeded"), publish: "skipped", verify: "skipped" })
    expect(stepOf(second, "publish")).toMatchObject({
      message: "its condition is false: resource.spec.ref == 'main' && steps.published.data.status == 404",
      condition: {
        values: [
          { expression: "resource.spec.ref", value: "main" },
          { expression: "steps.published.data.status", value: 200 },
        ],
      },
    })
    expect(stepOf(second, "verify").message).toBe("all steps it needs were skipped")
    expect(registry.puts).toBe(1)
  })

  test("is tested and not published on another branch, and not published when its tests fail", async () => {
    const broken = "exports.countWords = () => 7\n"
    await repository.commit({ "NOTES.md": "Nothing new\n" }, "notes")
    const onBranch = await push("notes")
    await repository.commit({ "words.js": broken })
    const onMain = await push()
    expect(statusesOf(await host.ended(onBranch))).toEqual({
      ...all("succeeded"),
      publish: "skipped",
      verify: "skipped",
    })
    const run = await host.ended(onMain)
    expect(run).toMatchObject({
      status: "failed",
      message: 'step "unit" failed: "npm test" ended with exit code 1',
    })
    expect(stepOf(run, "publish")).toMatchObject({
      status: "skipped",
      message: 'step "unit" before it did not succeed',
    })
    expect(await host.log(run.runId)).toContain("unit | not ok 1 - counts words")
    expect(registry.puts).toBe(0)
  })

  test("is published by a rerun of what failed, from the tarball that was tested, when its registry is back", async () => {
    registry.open = false
    const first = await push()
    const failed = await host.ended(first)
    expect(failed.status).toBe("failed")
    expect(stepOf(failed, "publish")).toMatchObject({ status: "failed", attempt: 2 })
    expect(registry.puts).toBe(2)

    registry.open = true
    const again = await host.ended(await host.rerun(first, { failed: true }))
    expect(statusesOf(again)).toEqual(all("succeeded"))
    expect(again.steps.filter(({ keptFrom }) => keptFrom === first).map(({ id }) => id)).toEqual(
      everyStep.slice(0, -2),
    )
    expect([...registry.published.keys()]).toEqual(["text-tools@1.2.0"])
    expect((await host.log(again.runId)).some((line) => line.startsWith("unit"))).toBe(false)
  })
})
