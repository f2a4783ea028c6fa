import { expect, test } from "bun:test"
import { join } from "node:path"
import { parseFile } from "../../src/loader/parse.ts"
import { expressionRoots, functionNames, methodNames } from "../../src/model/expression-environment.ts"
import { tableAfter } from "../rig/markdown.ts"

/* The names and functions of expressions stand in two tables of docs/pipelines.md. */

const markdown = await Bun.file(join(import.meta.dir, "../../docs/pipelines.md")).text()
const names = tableAfter(markdown, "<!-- the names of expressions -->")
const functions = tableAfter(markdown, "<!-- the functions of expressions -->")

const places = ["metadata", "env", "timeout", "concurrency.key", "steps"] as const
const everywhere: Readonly<Record<string, readonly string[]>> = {
  everywhere: places,
  "everywhere but in itself": places.filter((place) => place !== "metadata"),
  steps: ["steps"],
}

/** The places of a pipeline where an expression may read this name. */
async function readableIn(name: string): Promise<readonly string[]> {
  const text = `\${{ string(${name}) }}`
  const fields = {
    metadata: { metadata: { a: text } },
    env: { env: { A: text } },
    timeout: { timeout: text },
    "concurrency.key": { concurrency: { key: text } },
    steps: { steps: [{ driver: "shell", with: { run: text } }] },
  } as const
  const isReadable = async (place: (typeof places)[number]) => {
    const pipeline = { name: "p", resource: "app", steps: [{ driver: "shell" }], ...fields[place] }
    return (await parseFile("p.json", JSON.stringify(pipeline))).faults.length === 0
  }
  const readable = await Promise.all(places.map(isReadable))
  return places.filter((_, at) => readable[at])
}

test("each name that an expression may begin with is told, with the places where it has a value", async () => {
  const told = names.map(([name = "", , where = ""]) => [name.slice(1, -1), everywhere[where]] as const)
  const roots = [...expressionRoots]
  const real = await Promise.all(roots.map(async (root) => [root, await readableIn(root)] as const))
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(real))
})

test("each function that is told exists, and ours are told", () => {
  const calls = functions.flatMap(([cell = ""]) => [...cell.matchAll(/`(?:\w+(\.))?(\w+)\(/g)])
  for (const [call, dot, name = ""] of calls) {
    expect({ call, exists: (dot === undefined ? functionNames : methodNames).includes(name) }).toEqual({
      call,
      exists: true,
    })
  }
  const told = calls.map(([, , name]) => name)
  expect(told).toEqual(expect.arrayContaining(["success", "failure", "always", "json"]))
})
