import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { join, relative } from "node:path"
import { type PlanOptions, plan } from "../../src/cli/plan.ts"
import { styleFor } from "../../src/cli/terminal.ts"
import { apiRig } from "../api/api-rig.ts"
import { tempFolder } from "../rig/temp-folder.ts"

let folder: Awaited<ReturnType<typeof tempFolder>>
const files: Readonly<Record<string, string>> = {
  "release.yaml": `
kind: ResourceDefinition
name: app
schema:
  type: object
  properties: { to: { type: string, enum: [staging, production] } }
---
name: release
resource: app
concurrency: { key: "release-\${{ resource.spec.to }}" }
steps:
  - { id: build, driver: shell, with: { run: "make \${{ resource.spec.to }}" } }
  - id: deploy
    driver: shell
    if: resource.spec.to == "production" && steps.build.data.exitCode == 0
    ensure: { driver: shell }
  - { id: announce, driver: shell, retry: { attempts: 3 } }
  - { id: undo, needs: [deploy], if: failure(), driver: shell }
finally:
  - { id: tidy, driver: shell }
`,
  "lenient.yaml": `
name: lenient
resource: app
steps:
  - { id: build, driver: shell }
  - { id: deploy, if: resource.spec.to == "production", continueOnError: true, driver: shell }
  - id: report
    needs: [build]
    if: has(resource.spec.broken)
    continueOnError: true
    driver: shell
    with: { run: "echo \${{ resource.spec.missing }}" }
`,
  "broken.yaml": "name: broken\nresource: app\nstepz: []\n",
  "misspelt.yaml": "name: misspelt\nresource: app\non: [update]\nsteps: [{ driver: shel }]\n",
  "refused.yaml":
    "name: refused\nresource: app\nsteps:\n  - { driver: git, with: { branch: main, depth: many } }\n  - { driver: shell }\n---\nkind: ResourceDefinition\nname: gadget\nschema: {}\n",
  "pair.yaml":
    "name: a\nresource: app\nsteps: [{ driver: shell }]\n---\nname: b\nresource: app\nsteps: [{ driver: shell }]\n",
}

beforeAll(async () => {
  folder = await tempFolder()
  for (const [name, text] of Object.entries(files)) await Bun.write(join(folder.path, name), text)
})
afterAll(() => folder[Symbol.asyncDispose]())

async function planned(pipeline: string, options: Partial<PlanOptions> = {}) {
  const lines: string[] = []
  const code = await plan(pipeline, {
    set: [],
    fail: [],
    json: false,
    settings: { pipelines: folder.path, drivers: "/no/such/folder" },
    print: (line) => lines.push(line),
    style: styleFor({}, {}),
    ...options,
  })
  return { code, lines }
}

describe("conveyor plan", () => {
  test("shows the order, what each condition read, and what is skipped and why", async () => {
    expect(await planned("release", { set: ["to=staging"] })).toEqual({
      code: 0,
      lines: [
        "plan release  on create of app; nothing is run",
        '  one run at a time with the key "release-staging"; another one waits',
        "",
        " 1  build          shell",
        '      with.run: "make staging"',
        "",
        "at the end, however it went",
        " 2  tidy           shell",
        "",
        "skipped",
        " ·  deploy         shell",
        '      if success() && (resource.spec.to == "production" && steps.build.data.exitCode == 0)',
        '         resource.spec.to           "staging"',
        '         steps.build.data.exitCode  not known until "build" has ended',
        '         → false: resource.spec.to == "production"',
        " ·  announce       shell  all steps it needs were skipped",
        " ·  undo           shell",
        "      if failure()",
        "         failure()  false",
        "         → false",
        ' ·  deploy.ensure  shell  step "deploy" was not attempted in this run',
        "",
        "✓ it would succeed, if no step fails",
      ],
    })
  })

  test("says what is open without a resource, and what else would follow", async () => {
    const { lines } = await planned("release")
    expect(lines).toContain("  nothing is known of the resource: give one with --resource or --set")
    expect(lines).toContain("         resource.spec.to           not known until there is a resource")
    expect(lines).toContain("         → not decided yet")
    expect(lines).toContain(
      '      taken to be true; if it is false, the step is skipped, and so are "deploy.ensure", "announce"',
    )
    expect(lines.at(-1)).toBe(
      "✓ it would succeed, if no step fails; what is not decided yet is taken to be true",
    )
  })

  test("shows what follows from a failure", async () => {
    const { code, lines } = await planned("release", { set: ["to=production"], fail: ["deploy"] })
    expect(code).toBe(0)
    expect(lines).toContain(" 4  undo           shell  after deploy")
    expect(lines).toContain(' ·  announce       shell  step "deploy" before it did not succeed')
    expect(lines.at(-1)).toBe('✗ it would fail: step "deploy" failed')
  })

  test("says that steps fail only of those that run", async () => {
    const skipped = await planned("lenient", { set: ["to=staging"], fail: ["deploy"] })
    expect(skipped.lines).toContain(" ·  deploy  shell")
    expect(skipped.lines.at(-1)).toBe("✓ it would succeed, if no step fails")
    const { lines } = await planned("lenient", { set: ["to=production"], fail: ["deploy"] })
    expect(lines.at(-1)).toBe('✓ it would succeed, although "deploy" failed')
    const bySelf = await planned("lenient", { set: ["to=staging", "broken=true"] })
    expect(bySelf.lines.at(-1)).toBe('✓ it would succeed, although "report" failed')
  })

  test("exits 1 when the run would fail by itself", async () => {
    const { code, lines } = await planned("release", { set: ["x=1"] })
    expect(code).toBe(1)
    expect(lines.at(-1)).toBe(
      '✗ it would fail: The expression "resource.spec.to" has no value: No such key: to',
    )
  })

  test("takes a file with a resource, and its name", async () => {
    const resource = join(folder.path, "shop.json")
    await Bun.write(resource, JSON.stringify({ name: "shop", spec: { to: "production" } }))
    const { lines } = await planned(join(folder.path, "release.yaml"), { resource })
    expect(lines[0]).toBe("plan release  on create of app/shop; nothing is run")
    expect(lines).toContain('      with.run: "make production"')
  })

  test("is JSON where that is asked for, with the warnings of its file", async () => {
    const { lines } = await planned("misspelt", { json: true })
    expect(JSON.parse(lines.join("\n"))).toMatchObject({
      pipeline: "misspelt",
      event: "update",
      waves: [{ part: "way", steps: [{ id: "shel", outcome: "succeeds" }] }],
      warnings: [{ file: expect.stringContaining("misspelt.yaml"), nearest: "shell" }],
    })
  })

  test("takes a step to fail whose driver refuses its input, and says so with the place", async () => {
    const { code, lines } = await planned("refused")
    const message = 'The driver "git" has no input "branch"; there are url, ref, depth, path'
    const file = relative(process.cwd(), join(folder.path, "refused.yaml"))
    const warning = 'The driver "git" may refuse this: Expected integer, found string'
    expect(lines.slice(0, 2)).toEqual([`${file}:4:28: ${message}`, `warning: ${file}:4:49: ${warning}`])
    expect(lines).toContain(" 1  git    git    would fail")
    expect(lines).toContain(`      ${message}`)
    expect(lines.at(-1)).toBe(`✗ it would fail: step "git" failed: ${message}`)
    expect(code).toBe(1)
    const { lines: json } = await planned("refused", { json: true })
    expect(JSON.parse(json.join("\n"))).toMatchObject({
      waves: [{ steps: [{ id: "git", outcome: "fails", failure: message }] }],
      warnings: [{ message, line: 4, column: 28 }, { severity: "warning" }],
    })
  })

  test("plans what a host has, by its name", async () => {
    await using rig = await apiRig()
    await rig.send("POST", "/resource-definitions", {
      name: "app",
      schema: { required: ["to"], properties: { tag: { default: "v1" } } },
    })
    const steps = [{ id: "build", driver: "shell", if: 'resource.spec.to + resource.spec.tag == "herev1"' }]
    expect((await rig.send("POST", "/pipelines", { name: "remote", resource: "app", steps })).status).toBe(
      201,
    )
    const { lines } = await planned("remote", { server: rig.url, set: ["to=here"] })
    expect(lines).toContain('         resource.spec.to   "here"')
    expect(lines).toContain('         resource.spec.tag  "v1"')
    expect(lines).toContain("         → true")
    await expect(planned("remote", { server: rig.url, set: ["x=1"] })).rejects.toThrow(
      'The spec does not match the definition "app"',
    )
    await expect(planned("remot", { server: rig.url })).rejects.toMatchObject({ code: "NOT_FOUND" })
  })
})

describe("what cannot be planned", () => {
  const refusals: readonly (readonly [
    sentence: string,
    pipeline: string,
    options: Partial<PlanOptions>,
    code: string,
    message: string,
  ])[] = [
    ["an unknown name is told with the nearest one", "relase", {}, "NOT_FOUND", '(did you mean "release"?)'],
    [
      "a name that is near to none is told with those there are",
      "xyz",
      {},
      "NOT_FOUND",
      "; there are a, b, broken, lenient, misspelt, refused, release",
    ],
    [
      "a name that is another thing's is no pipeline, whatever is wrong with inputs beside it",
      "gadget",
      {},
      "NOT_FOUND",
      'There is no pipeline "gadget"',
    ],
    [
      "a folder that is not there is told",
      "release",
      { settings: { pipelines: "/no/such/folder" } },
      "NOT_FOUND",
      "There is no such file or folder: ",
    ],
    ["a file that is not there is told", "no.yaml", {}, "INVALID", "no.yaml cannot be planned"],
    [
      "a pipeline with faults is told with them",
      "broken",
      {},
      "INVALID",
      'The pipeline "broken" cannot be planned',
    ],
    [
      "a spec that does not match is refused",
      "release",
      { set: ["to=prod"] },
      "INVALID",
      'does not match the definition "app"',
    ],
    [
      "an unknown step is told with the nearest one",
      "release",
      { fail: ["bulid"] },
      "USAGE",
      '(did you mean "build"?)',
    ],
    [
      "an event that the pipeline is not for is told",
      "release",
      { event: "delete" },
      "USAGE",
      "does not start on delete, but on create",
    ],
    [
      "an event that is none is told",
      "release",
      { event: "push" },
      "USAGE",
      "--event expects create, update, delete",
    ],
    [
      "a file on a host is refused",
      "a.yaml",
      { server: "http://127.0.0.1:1" },
      "USAGE",
      "--server takes a pipeline's name",
    ],
  ]
  test.each(refusals)("%s", async (_, pipeline, options, code, message) => {
    await expect(planned(pipeline, options)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    })
  })

  test("a file with several pipelines is told with their names", async () => {
    await expect(planned(join(folder.path, "pair.yaml"))).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringContaining("holds several pipelines: a, b; name one"),
    })
  })

  test("faults of another file keep nothing from being planned", async () => {
    expect((await planned("a")).code).toBe(0)
  })
})
