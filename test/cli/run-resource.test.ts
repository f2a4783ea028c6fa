import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { buildResource } from "../../src/cli/run-resource.ts"
import { tempFolder } from "../rig/temp-folder.ts"

const made = { pipeline: "release", kind: "app", name: "release-1" }

async function from(text: string, set: readonly string[] = []) {
  await using folder = await tempFolder()
  const resource = join(folder.path, "resource.yaml")
  await Bun.write(resource, text)
  return await buildResource({ ...made, resource, set })
}

describe("the resource of a run", () => {
  test("is made up where nothing is said", async () => {
    expect(await buildResource({ ...made, set: [] })).toEqual({
      name: "release-1",
      resource: "app",
      pipeline: "release",
      spec: {},
    })
  })

  test("takes a file with a name and a spec as the whole resource", async () => {
    expect(await from("name: web\nmetadata: { team: a }\nspec: { port: 1 }\npipeline: other\n")).toEqual({
      name: "web",
      resource: "app",
      pipeline: "release",
      metadata: { team: "a" },
      spec: { port: 1 },
    })
  })

  test("takes any other file as its spec", async () => {
    expect((await from('{"port": 1, "spec": 2}'))["spec"]).toEqual({ port: 1, spec: 2 })
  })

  test("keeps a number as it was typed where JSON would write another one", async () => {
    const set = ["version=1.10", "exact=1.0", "id=12345678901234567890", "count=10"]
    expect((await buildResource({ ...made, set }))["spec"]).toEqual({
      version: "1.10",
      exact: "1.0",
      id: "12345678901234567890",
      count: 10,
    })
  })

  test("has what was set over what was in the file, as JSON where it is JSON", async () => {
    const set = ["image.tag=1.2", "image.name=web", "port=81", "tls=true", "list=[1,2]", "text=a=b", "none="]
    expect((await from("port: 80\nimage: { tag: old, keep: yes please }\n", set))["spec"]).toEqual({
      port: 81,
      image: { tag: 1.2, name: "web", keep: "yes please" },
      tls: true,
      list: [1, 2],
      text: "a=b",
      none: "",
    })
  })

  test.each(["port", "=1", "a..b=1", "__proto__.x=1"])("refuses to set %s", async (set) => {
    await expect(buildResource({ ...made, set: [set] })).rejects.toMatchObject({ code: "USAGE" })
  })

  test("names a file that cannot be read, and one that is not YAML", async () => {
    await expect(buildResource({ ...made, set: [], resource: "/no/such.yaml" })).rejects.toMatchObject({
      code: "NOT_FOUND",
    })
    await expect(from("a: [")).rejects.toMatchObject({ code: "INVALID" })
  })
})
