import { afterAll, describe, expect, test } from "bun:test"
import * as v from "valibot"
import { hostShape, pipelineShape } from "../../src/api/shapes.ts"
import { hostFileKey, hostKey, pipelineKey, pipelineRevisionKey } from "../../src/store/keys.ts"
import { apiRig, releasePipeline, withRelease } from "./api-rig.ts"

const rig = await apiRig()
afterAll(() => rig[Symbol.asyncDispose]())
await withRelease(rig)

describe("pipelines", () => {
  test("a pipeline is shown with all that it implies, and its revision is kept by its hash", async () => {
    const { status, body } = await rig.send("GET", "/pipelines/release/")
    expect(status).toBe(200)
    expect(body).toEqual({
      name: "release",
      resource: "app",
      on: ["create"],
      metadata: { registry: "local" },
      steps: [
        { id: "clone", driver: "git", needs: [], timeoutMs: 3_600_000 },
        { id: "build", driver: "shell", with: { run: "make" }, needs: ["clone"], timeoutMs: 3_600_000 },
      ],
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    })
    const revision = await rig.store.get(pipelineRevisionKey(body.hash))
    expect(new Bun.CryptoHasher("sha256").update(revision?.value ?? "").digest("hex")).toBe(body.hash)
  })

  test("an older client's body is taken, its unknown fields ignored", async () => {
    const older = {
      ...releasePipeline,
      name: "older",
      id: "1",
      created_at: "x",
      description: "d",
      version: "v1",
      metadata: null,
    }
    const { status, body } = await rig.send("POST", "/pipelines", older)
    expect(status).toBe(201)
    expect(body).toMatchObject({ name: "older", description: "d", version: "v1", metadata: {} })
  })

  test("a name is taken once, and the definition must be there", async () => {
    expect((await rig.send("POST", "/pipelines", releasePipeline)).status).toBe(409)
    const missing = await rig.send("POST", "/pipelines", { ...releasePipeline, name: "new", resource: "ap" })
    expect(missing).toMatchObject({ status: 404, body: { error: expect.stringContaining('"app"') } })
  })

  test("every fault is told with its path and the nearest name", async () => {
    const refused = await rig.send("POST", "/pipelines", {
      name: "bad",
      resource: "app",
      steps: [
        { id: "build", driver: "shell" },
        { id: "test", driver: "shell", needs: ["biuld"] },
      ],
    })
    expect(refused).toMatchObject({
      status: 422,
      body: { faults: [{ path: "/steps/1/needs/0", nearest: "build" }] },
    })
    const cycle = await rig.send("POST", "/pipelines", {
      name: "bad",
      resource: "app",
      steps: [
        { id: "a", driver: "x", needs: ["b"] },
        { id: "b", driver: "x", needs: ["a"] },
      ],
    })
    expect(cycle.status).toBe(422)
    const empty = await rig.send("POST", "/pipelines", { name: "bad", resource: "app", steps: [] })
    expect(empty.body.faults[0].path).toBe("/steps")
    expect((await rig.send("GET", "/pipelines/bad")).status).toBe(404)
  })

  test("what is wrong with expressions is told beside what the schema says, and refuses an update, too", async () => {
    const bad = {
      name: "bad",
      resource: "app",
      timeout: "2 hours",
      steps: [
        { id: "build", driver: "shell", if: "evnt == 'create'" },
        { driver: "shell", needs: [], with: { a: [`\${{ steps.build.status }}`] } },
      ],
    }
    const faults = [
      { path: "/timeout", nearest: "2h" },
      { path: "/steps/0/if", nearest: "event" },
      { path: "/steps/1/with/a/0", message: expect.stringContaining("write needs: [build]") },
    ]
    const posted = await rig.send("POST", "/pipelines", bad)
    expect(posted).toMatchObject({ status: 422, body: { faults } })
    expect(Object.keys(posted.body.faults[2])).toEqual(["message", "path"])
    expect(await rig.send("PUT", "/pipelines/release", { ...bad, name: "release" })).toMatchObject({
      status: 422,
      body: { faults },
    })
  })

  test("a warning keeps nothing from being written", async () => {
    const steps = [{ driver: "shell", with: { run: `\${{ metadata.none }}` } }]
    const { status } = await rig.send("POST", "/pipelines", { name: "warned", resource: "app", steps })
    expect(status).toBe(201)
  })

  test("nesting without end is refused, not walked", async () => {
    const deep = "[".repeat(100_000) + "]".repeat(100_000)
    for (const [field, path] of [
      ["with", "/steps/0/with"],
      ["env", "/steps/0/env/a"],
      ["ensure", "/steps/0/ensure/driver"],
    ]) {
      const body = `{"name":"deep","resource":"app","steps":[{"driver":"shell","${field}":{"a":${deep}}}]}`
      const answer = await fetch(`${rig.url}/pipelines`, { method: "POST", body })
      expect(answer.status).toBe(422)
      expect(await answer.json()).toMatchObject({ faults: [{ path }] })
    }
  })

  test("an update makes a new revision, and the same content writes nothing", async () => {
    const source = { ...releasePipeline, name: "changing" }
    const { body: first } = await rig.send("POST", "/pipelines", source)
    const before = await rig.store.get(pipelineKey("changing"))
    expect((await rig.send("PUT", "/pipelines/changing", source)).body).toEqual(first)
    expect(await rig.store.get(pipelineKey("changing"))).toEqual(before)

    const { name: _, ...nameless } = { ...source, metadata: { registry: "other" } }
    const { status, body: second } = await rig.send("PUT", "/pipelines/changing", nameless)
    expect(status).toBe(200)
    expect(second.hash).not.toBe(first.hash)
    expect(second.createdAt).toBe(first.createdAt)
    for (const { hash } of [first, second]) {
      expect(await rig.store.get(pipelineRevisionKey(hash))).toBeDefined()
    }
    expect(
      (await rig.send("PUT", "/pipelines/changing", source.name === "x" ? {} : { ...source, name: "y" }))
        .status,
    ).toBe(422)
  })

  test("a pipeline is deleted once", async () => {
    await rig.send("POST", "/pipelines", { ...releasePipeline, name: "going" })
    expect((await rig.send("DELETE", "/pipelines/going")).status).toBe(204)
    for (const [method, body] of [["DELETE"], ["GET"], ["PUT", releasePipeline]] as const) {
      expect((await rig.send(method, "/pipelines/going", body && { ...body, name: "going" })).status).toBe(
        404,
      )
    }
  })
})

describe("pipelines of files", () => {
  const faults = [{ message: "Expected a name", file: "ci.yaml", line: 3, column: 5 }]

  test("are changed in their file only, and show what is wrong in it", async () => {
    const { body } = await rig.send("GET", "/pipelines/release")
    const { hash, createdAt, updatedAt, ...pipeline } = body
    const record = { pipeline: { ...pipeline, name: "filed" }, hash, createdAt, updatedAt, file: "ci.yaml" }
    await rig.put(pipelineKey("filed"), record)
    for (const [method, path] of [
      ["PUT", "/pipelines/filed"],
      ["DELETE", "/pipelines/filed"],
      ["POST", "/pipelines"],
    ] as const) {
      const source = method === "DELETE" ? undefined : { ...releasePipeline, name: "filed" }
      const refused = await rig.send(method, path, source)
      expect(refused).toMatchObject({ status: 409, body: { error: expect.stringContaining("ci.yaml") } })
    }
    expect((await rig.send("GET", "/pipelines/filed")).body.faults).toBeUndefined()
    await rig.put(hostFileKey("host-1", "ci.yaml"), {
      hostId: "host-1",
      file: "ci.yaml",
      declares: [],
      names: ["filed", "unborn"],
      faults,
    })
    expect((await rig.send("GET", "/pipelines/filed")).body).toMatchObject({ file: "ci.yaml", faults })
    const { body: list } = await rig.send("GET", "/pipelines")
    expect(list.find((each: { name: string }) => each.name === "filed").faults).toEqual(faults)
  })

  test("that never loaded are missing, and the answer says why", async () => {
    const missing = await rig.send("GET", "/pipelines/unborn")
    expect(missing).toMatchObject({ status: 404, body: { faults } })
    expect(missing.body.detail).toContain("ci.yaml")
    expect(missing.body.error).toContain("ci.yaml:3:5: Expected a name")
  })

  test("say on which hosts their file has a fault, where not all of them have it", async () => {
    await rig.put(hostFileKey("host-2", "ci.yaml"), {
      hostId: "host-2",
      file: "ci.yaml",
      declares: [{ kind: "pipeline", name: "filed", hash: "other" }],
      names: ["filed"],
      faults: [],
    })
    const { body } = await rig.send("GET", "/pipelines/filed")
    expect(body.faults).toEqual([{ ...faults[0], hosts: ["host-1"] }])
    const missing = await rig.send("GET", "/pipelines/unborn")
    expect(missing.body.faults).toEqual(faults)
  })

  test("say which hosts have other content, and GET /hosts says it by host", async () => {
    const file = { file: "ci.yaml", names: ["filed"], faults: [] }
    const declares = (hash: string) => [{ kind: "pipeline", name: "filed", hash }]
    const { body: pipeline } = await rig.send("GET", "/pipelines/filed")
    for (const [hostId, hash] of [
      ["host-1", pipeline.hash],
      ["host-2", "other"],
    ]) {
      await rig.put(hostFileKey(hostId, "ci.yaml"), { ...file, hostId, declares: declares(hash) })
      await rig.put(hostKey(hostId), { hostId })
    }
    const drift = [{ hostId: "host-2", file: "ci.yaml", hash: "other" }]
    expect((await rig.send("GET", "/pipelines/filed")).body).toMatchObject({ hash: pipeline.hash, drift })
    const { body: list } = await rig.send("GET", "/pipelines")
    expect(list.find((each: { name: string }) => each.name === "filed").drift).toEqual(drift)
    const { body: hosts } = await rig.send("GET", "/hosts")
    expect(hosts).toEqual([
      { hostId: "host-1", drift: [] },
      {
        hostId: "host-2",
        drift: [
          {
            kind: "pipeline",
            name: "filed",
            file: "ci.yaml",
            here: "other",
            store: pipeline.hash,
            heldBy: ["host-1"],
          },
        ],
      },
    ])
    expect(v.parse(v.array(pipelineShape), list)).toEqual(list)
    expect(v.parse(hostShape.entries.drift, hosts[1].drift)).toEqual(hosts[1].drift)
  })
})
