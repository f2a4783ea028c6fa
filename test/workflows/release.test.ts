import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { join } from "node:path"
import { type GitRepository, gitRepository } from "./git-repository.ts"
import { type ReleaseStore, startReleaseStore } from "./release-store.ts"
import { newSigningKey } from "./signing-key.ts"
import { startWorkflow, type WorkflowHost } from "./workflow-host.ts"
import { statusesOf, stepOf } from "./workflow-runs.ts"

/* Real keys and signatures of openssl, real tarballs, and a store that they are uploaded to. */

let host: WorkflowHost
beforeAll(async () => {
  host = await startWorkflow("release", (folder) => ({ SIGNING_KEY: join(folder, "signing.pem") }))
})
afterAll(() => host[Symbol.asyncDispose]())

let repository: GitRepository
let store: ReleaseStore
beforeEach(async () => {
  repository = await gitRepository("release")
  await repository.commit({ "release.pub": await newKey() })
  store = startReleaseStore()
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  await repository[Symbol.asyncDispose]()
})

/** Gives the host another key to sign with, and answers the public one. */
const newKey = () => newSigningKey(join(host.folder, "signing.pem"))

/** Tags what is there and releases it. */
async function released(tag = "v1.4.0") {
  await repository.tag(tag)
  return host.ended(await host.send("release", { repo: repository.path, ref: tag, store: store.url }))
}

const program = "program-v1.4.0.tar.gz"

/** Installs what the store has, with the public key of the repository. */
async function installed() {
  const release = `${store.url}/releases/v1.4.0`
  const key = join(repository.path, "release.pub")
  return host.ended(await host.send("install", { release, program, key }))
}

describe("a release", () => {
  test("is signed and public as a whole, and installs where the key is trusted", async () => {
    const run = await released()
    expect([run.message, run.status]).toEqual(["", "succeeded"])
    expect(stepOf(run, "discard").status).toBe("skipped")
    expect(store.history).toEqual(["draft v1.4.0", "publish v1.4.0"])
    expect([...(store.release("v1.4.0")?.keys() ?? [])].sort()).toEqual([
      "SHA256SUMS",
      "SHA256SUMS.sig",
      "docs-v1.4.0.tar.gz",
      program,
    ])
    const installation = await installed()
    expect([installation.message, installation.status]).toEqual(["", "succeeded"])
    expect(stepOf(installation, "unpack").result?.data).toMatchObject({ stdout: "This is 1.4.0\n" })
  })

  test("that was tampered with is refused, and so is one whose sums were made to fit", async () => {
    await released()
    const files = store.release("v1.4.0")
    const tampered = Buffer.concat([files?.get(program) ?? Buffer.of(), Buffer.of(0)])
    files?.set(program, tampered)
    const refused = await installed()
    expect(refused.status).toBe("failed")
    expect(statusesOf(refused)).toMatchObject({ trust: "succeeded", compare: "failed", unpack: "skipped" })
    expect(await host.log(refused.runId)).toContain(`compare | ${program}: FAILED`)

    const sum = new Bun.CryptoHasher("sha256").update(tampered).digest("hex")
    files?.set("SHA256SUMS", Buffer.from(`${sum}  ${program}\n`))
    const refusedToo = await installed()
    expect(refusedToo.status).toBe("failed")
    expect(statusesOf(refusedToo)).toMatchObject({ trust: "failed", compare: "skipped", unpack: "skipped" })
    expect((await host.log(refusedToo.runId)).join("\n")).toMatch(/^trust \| Verification failure$/im)
  })

  test("that is signed with a key nobody knows never leaves the house", async () => {
    await newKey()
    const run = await released()
    expect(statusesOf(run)).toMatchObject({ sign: "succeeded", check: "failed", draft: "skipped" })
    expect(store.history).toEqual([])
  })

  test("of a tag that is not the version in the sources is not built", async () => {
    const run = await released("v1.5.0")
    expect(run.status).toBe("failed")
    expect(statusesOf(run)).toMatchObject({ version: "failed", program: "skipped", docs: "skipped" })
    expect(store.history).toEqual([])
  })

  test("whose upload goes wrong is taken back, and comes out when it is run again from its draft on", async () => {
    store.refused.add("SHA256SUMS.sig")
    const run = await released()
    expect(run).toMatchObject({
      status: "failed",
      message: `step "upload-signature" failed: PUT ${store.url}/releases/v1.4.0/SHA256SUMS.sig answered 503, expected 200-299`,
    })
    expect(statusesOf(run)).toMatchObject({ publish: "skipped", discard: "succeeded" })
    expect(store.history).toEqual(["draft v1.4.0", "discard v1.4.0"])

    store.refused.clear()
    const again = await host.ended(await host.rerun(run.runId, { from: "draft" }))
    expect([again.message, again.status]).toEqual(["", "succeeded"])
    expect(stepOf(again, "sign").keptFrom).toBe(run.runId)
    expect((await installed()).status).toBe("succeeded")
  })
})
