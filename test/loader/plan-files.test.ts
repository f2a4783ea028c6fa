import { describe, expect, test } from "bun:test"
import type { Seen } from "../../src/loader/decide.ts"
import type { DeclaredName } from "../../src/loader/ownership.ts"
import { type ParsedFile, parseFile } from "../../src/loader/parse.ts"
import { planFiles, type Stored } from "../../src/loader/plan-files.ts"
import type { HostFile } from "../../src/model/host-file.ts"
import type { PipelineRecord } from "../../src/model/pipeline.ts"
import { hostFileKey } from "../../src/store/keys.ts"
import { pipelineText } from "./loader-rig.ts"

/*
 * Contents are single words: `x: "1"` is the pipeline x with the content 1, and `"1 in a"` says which file it is of.
 * With "new" at the end it was never in the store. A folder's file is what it declares, or "refused" for one with a fault in it that still can be read for the name x.
 */
type Folder = Readonly<Record<string, Readonly<Record<string, string>> | "refused">>

interface World {
  readonly here: Folder
  /** What the store has, by name; without a file it came through the API. */
  readonly store?: Readonly<Record<string, string>>
  /** What this folder was last seen with, by name. */
  readonly seen?: Readonly<Record<string, string>>
  /** The folders of the other live hosts. */
  readonly others?: Readonly<Record<string, Folder>>
  readonly uncertain?: readonly string[]
  readonly alone?: boolean
  /** Default: true. */
  readonly settled?: boolean
}

interface Outcome {
  readonly writes?: Readonly<Record<string, string>>
  readonly deletes?: readonly string[]
  /** By name: who has what the store has. */
  readonly drift?: Readonly<Record<string, readonly string[]>>
  readonly left?: readonly string[]
  readonly seen: Readonly<Record<string, string>>
}

const file = (text: string) => text.split(" in ")[1]?.replace(", new", "")
/** As the description in a pipeline; YAML would make a number of the word itself. */
const description = (text: string) => `c${text.split(" in ")[0]}`

async function parsed(name: string, declared: Folder[string]): Promise<ParsedFile> {
  const text =
    declared === "refused"
      ? "name: x\nresource: app\n"
      : Object.entries(declared)
          .map(([pipeline, word]) => pipelineText(pipeline, description(word)))
          .join("---\n")
  return await parseFile(name, text)
}

async function hashOf(name: string, text: string): Promise<string> {
  const [declaration] = (await parseFile("f", pipelineText(name, description(text)))).declarations
  if (declaration === undefined) throw new Error(`${name} must be a valid pipeline`)
  return declaration.hash
}

async function stored(name: string, text: string): Promise<[string, Stored<PipelineRecord>]> {
  const [declaration] = (await parseFile("f", pipelineText(name, description(text)))).declarations
  if (declaration?.kind !== "pipeline") throw new Error(`${name} must be a valid pipeline`)
  const { pipeline, hash } = declaration
  const from = file(text)
  const at = { createdAt: "then", updatedAt: "then" }
  return [
    name,
    { value: { pipeline, hash, ...(from === undefined ? {} : { file: from }), ...at }, modRevision: 7 },
  ]
}

async function published(hostId: string, folder: Folder): Promise<[string, Stored<HostFile>][]> {
  const files = await Promise.all(Object.entries(folder).map(([name, declared]) => parsed(name, declared)))
  return files.map(({ file: name, declarations, names, faults }) => {
    const declares = declarations.map(({ kind, name: declared, hash }) => ({ kind, name: declared, hash }))
    const value = { hostId, file: name, declares, names, faults }
    return [hostFileKey(hostId, name), { value, modRevision: 5 }]
  })
}

/** What is to be done in this world, in single words again. */
async function outcomeOf(world: World): Promise<Outcome> {
  const { here, store = {}, seen = {}, others = {}, uncertain = [], alone = false, settled = true } = world
  const files = await Promise.all(Object.entries(here).map(([name, declared]) => parsed(name, declared)))
  const remembered = await Promise.all(
    Object.entries(seen).map(async ([name, text]): Promise<[DeclaredName, Seen]> => {
      const isNew = text.endsWith(", new") ? { isNew: true } : {}
      return [`pipeline ${name}`, { file: file(text) ?? "", hash: await hashOf(name, text), ...isNew }]
    }),
  )
  const folders = Object.entries(others).map(([hostId, folder]) => published(hostId, folder))
  const plan = planFiles(
    {
      files: new Map(files.map((one) => [one.file, one])),
      isUncertain: (name) => (uncertain.includes(name) ? "vanished" : undefined),
    },
    {
      pipelines: new Map(await Promise.all(Object.entries(store).map(([name, text]) => stored(name, text)))),
      definitions: new Map(),
      files: new Map((await Promise.all(folders)).flat()),
    },
    { hostId: "here", alone, settled, seen: new Map(remembered), now: "now", newId: () => "id" },
  )
  // Hashes are put back into words by asking which word they are of.
  const words = ["1", "2", "3"]
  const wordOf = async (name: string, hash: string) => {
    for (const word of words) if ((await hashOf(name, word)) === hash) return word
    throw new Error(`${hash} is no content of ${name}`)
  }
  const puts = plan.changes.flatMap(({ value }) =>
    value !== undefined && "pipeline" in value ? [value] : [],
  )
  const writes = Object.fromEntries(
    puts.map((put) => [put.pipeline.name, `${put.pipeline.description?.slice(1)} in ${put.file}`]),
  )
  const deletes = plan.changes
    .filter(({ value }) => value === undefined)
    .map(({ key }) => key.split("/")[1] ?? "")
  const drift = Object.fromEntries(plan.drift.map(({ name, heldBy }) => [name, heldBy]))
  const next = await Promise.all(
    [...plan.seen].map(async ([name, { file: from, hash, isNew }]) => {
      const bare = name.replace("pipeline ", "")
      return [bare, `${await wordOf(bare, hash)} in ${from}${isNew ? ", new" : ""}`] as const
    }),
  )
  return {
    ...(puts.length === 0 ? {} : { writes }),
    ...(deletes.length === 0 ? {} : { deletes }),
    ...(plan.drift.length === 0 ? {} : { drift }),
    ...(plan.left.length === 0 ? {} : { left: plan.left }),
    seen: Object.fromEntries(next),
  }
}

type Case = readonly [sentence: string, world: World, outcome: Outcome]

describe("a file that this folder has", () => {
  const cases: readonly Case[] = [
    [
      "is written when the store has nothing of it",
      { here: { a: { x: "1" } } },
      { writes: { x: "1 in a" }, seen: { x: "1 in a" } },
    ],
    [
      "is written when the store has nothing of it, also when it has long been here",
      { here: { a: { x: "1" } }, seen: { x: "1 in a" } },
      { writes: { x: "1 in a" }, seen: { x: "1 in a" } },
    ],
    [
      "takes over what came through the API",
      { here: { a: { x: "1" } }, store: { x: "2" }, seen: { x: "1 in a" } },
      { writes: { x: "1 in a" }, seen: { x: "1 in a" } },
    ],
    [
      "writes nothing when the store has the same",
      { here: { a: { x: "1" } }, store: { x: "1 in a" } },
      { seen: { x: "1 in a" } },
    ],
    [
      "is written when it was edited, whoever has what the store has",
      {
        here: { a: { x: "2" } },
        store: { x: "1 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "1" } } },
      },
      { writes: { x: "2 in a" }, seen: { x: "2 in a" } },
    ],
    [
      "is written when it was edited after another edit elsewhere",
      {
        here: { a: { x: "3" } },
        store: { x: "2 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "2" } } },
      },
      { writes: { x: "3 in a" }, seen: { x: "3 in a" } },
    ],
    [
      "drifts when it was not edited and the store has another one",
      {
        here: { a: { x: "1" } },
        store: { x: "2 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "2" } }, c: { a: { x: "2" } }, d: { a: { x: "1" } } },
      },
      { drift: { x: ["b", "c"] }, seen: { x: "1 in a" } },
    ],
    [
      "drifts on when the host that has what the store has is gone",
      { here: { a: { x: "1" } }, store: { x: "2 in a" }, seen: { x: "1 in a" } },
      { drift: { x: [] }, seen: { x: "1 in a" } },
    ],
    [
      "drifts when it was never seen before and a live host has what the store has",
      { here: { a: { x: "1" } }, store: { x: "2 in a" }, others: { b: { a: { x: "2" } } } },
      { drift: { x: ["b"] }, seen: { x: "1 in a" } },
    ],
    [
      "drifts when it was never seen before and a live host may have what the store has, in a file that is refused",
      { here: { a: { x: "1" } }, store: { x: "2 in a" }, others: { b: { a: "refused" } } },
      { drift: { x: [] }, seen: { x: "1 in a" } },
    ],
    [
      "is written when it was never seen before and no live host has what the store has",
      { here: { a: { x: "1" } }, store: { x: "2 in a" }, others: { b: { a: { x: "3" }, c: { y: "1" } } } },
      { writes: { x: "1 in a" }, seen: { x: "1 in a" } },
    ],
    [
      "ends its drift when it is edited to what the store has",
      {
        here: { a: { x: "2" } },
        store: { x: "2 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "2" } } },
      },
      { seen: { x: "2 in a" } },
    ],
    [
      "drifts by single names: what else it declares is written as ever",
      {
        here: { a: { x: "1", y: "2" } },
        store: { x: "2 in a", y: "1 in a" },
        seen: { x: "1 in a", y: "1 in a" },
        others: { b: { a: { x: "2", y: "1" } } },
      },
      { writes: { y: "2 in a" }, drift: { x: ["b"] }, seen: { x: "1 in a", y: "2 in a" } },
    ],
    [
      "that is refused writes nothing and does not drift, and what it was seen with stays in mind",
      {
        here: { a: "refused" },
        store: { x: "2 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "2" } } },
      },
      { seen: { x: "1 in a" } },
    ],
  ]
  test.each(cases)("%s", async (_, world, expected) => {
    expect(await outcomeOf(world)).toEqual(expected)
  })
})

describe("a name", () => {
  const cases: readonly Case[] = [
    [
      "that other hosts have in a file of another name does not drift where the content is the same",
      { here: { a: { x: "1" } }, store: { x: "1 in z" }, others: { b: { z: { x: "1" } } } },
      { seen: { x: "1 in a" } },
    ],
    [
      "that other hosts have in a file of another name drifts where the content is not the same",
      {
        here: { a: { x: "1" } },
        store: { x: "2 in z" },
        seen: { x: "1 in a" },
        others: { b: { z: { x: "2" } } },
      },
      { drift: { x: ["b"] }, seen: { x: "1 in a" } },
    ],
    [
      "follows a rename here",
      {
        here: { z: { x: "1" } },
        store: { x: "1 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "1" } } },
      },
      { writes: { x: "1 in z" }, seen: { x: "1 in z" } },
    ],
    [
      "stays renamed where another host has not followed yet",
      {
        here: { a: { x: "1" } },
        store: { x: "1 in z" },
        seen: { x: "1 in a" },
        others: { b: { z: { x: "1" } } },
      },
      { seen: { x: "1 in a" } },
    ],
    [
      "is renamed without memory when nobody else has it",
      { here: { z: { x: "1" } }, store: { x: "1 in a" } },
      { writes: { x: "1 in z" }, seen: { x: "1 in z" } },
    ],
    [
      "that two files here declare is of the one it was last seen in",
      {
        here: { a: { x: "1" }, b: { x: "2" } },
        store: { x: "2 in a" },
        seen: { x: "2 in b" },
        others: { other: { a: { x: "2" } } },
      },
      { seen: { x: "2 in b" } },
    ],
  ]
  test.each(cases)("%s", async (_, world, expected) => {
    expect(await outcomeOf(world)).toEqual(expected)
  })
})

describe("a file that this folder has no more", () => {
  const stays = 'a no longer declares the pipeline "x"; it stays, because another host has it: b'
  const cases: readonly Case[] = [
    [
      "is deleted when it was here and no other host has it",
      { here: {}, store: { x: "1 in a" }, seen: { x: "1 in a" }, others: { b: { c: { y: "1" } } } },
      { deletes: ["x"], seen: {} },
    ],
    [
      "is deleted by the last that had it, also when the store has another content",
      { here: {}, store: { x: "2 in a" }, seen: { x: "1 in a" } },
      { deletes: ["x"], seen: {} },
    ],
    [
      "stays while another host has it, whatever the content, and is forgotten here",
      { here: {}, store: { x: "1 in a" }, seen: { x: "1 in a" }, others: { b: { z: { x: "2" } } } },
      { left: [stays], seen: {} },
    ],
    [
      "stays while another host has it in a file that is refused",
      { here: {}, store: { x: "1 in a" }, seen: { x: "1 in a" }, others: { b: { a: "refused" } } },
      { left: [stays], seen: {} },
    ],
    ["stays when it was never here, whoever lives", { here: {}, store: { x: "1 in a" } }, { seen: {} }],
    [
      "stays when it was never here, also when a file of that name is",
      { here: { a: { y: "1" } }, store: { x: "1 in a", y: "1 in a" } },
      { seen: { y: "1 in a" } },
    ],
    [
      "stays as long as it has only just vanished",
      { here: {}, store: { x: "1 in a" }, seen: { x: "1 in a" }, uncertain: ["a"] },
      { seen: { x: "1 in a" } },
    ],
    ["is forgotten when the store has it no more either", { here: {}, seen: { x: "1 in a" } }, { seen: {} }],
    [
      "leaves what came through the API",
      { here: {}, store: { x: "1" }, seen: { x: "1 in a" } },
      { seen: {} },
    ],
  ]
  test.each(cases)("%s", async (_, world, expected) => {
    expect(await outcomeOf(world)).toEqual(expected)
  })
})

describe("a host that has just started", () => {
  const deleted = 'a no longer declares the pipeline "x"; it stays, because another host has it: b'
  const cases: readonly Case[] = [
    [
      "takes a file as new while it drifts from what a host has that may be dead",
      { settled: false, here: { a: { x: "1" } }, store: { x: "2 in a" }, others: { b: { a: { x: "2" } } } },
      { drift: { x: ["b"] }, seen: { x: "1 in a, new" } },
    ],
    [
      "writes what is new when that host is dead",
      { settled: false, here: { a: { x: "1" } }, store: { x: "2 in a" }, seen: { x: "1 in a, new" } },
      { writes: { x: "1 in a" }, seen: { x: "1 in a" } },
    ],
    [
      "lets what is new drift for good when that host lives",
      {
        here: { a: { x: "1" } },
        store: { x: "2 in a" },
        seen: { x: "1 in a, new" },
        others: { b: { a: { x: "2" } } },
      },
      { drift: { x: ["b"] }, seen: { x: "1 in a" } },
    ],
    [
      "writes an edit of what is new",
      {
        settled: false,
        here: { a: { x: "3" } },
        store: { x: "2 in a" },
        seen: { x: "1 in a, new" },
        others: { b: { a: { x: "2" } } },
      },
      { writes: { x: "3 in a" }, seen: { x: "3 in a" } },
    ],
    [
      "does not take for new what it remembers",
      {
        settled: false,
        here: { a: { x: "1" } },
        store: { x: "2 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "2" } } },
      },
      { drift: { x: ["b"] }, seen: { x: "1 in a" } },
    ],
    [
      "keeps in mind what is deleted here while a host has it that may be dead",
      {
        settled: false,
        here: {},
        store: { x: "1 in a" },
        seen: { x: "1 in a" },
        others: { b: { a: { x: "1" } } },
      },
      { left: [deleted], seen: { x: "1 in a" } },
    ],
  ]
  test.each(cases)("%s", async (_, world, expected) => {
    expect(await outcomeOf(world)).toEqual(expected)
  })
})

describe("a host that has the store to itself", () => {
  const cases: readonly Case[] = [
    [
      "writes whatever differs",
      { alone: true, here: { a: { x: "1" } }, store: { x: "2 in a" } },
      { writes: { x: "1 in a" }, seen: { x: "1 in a" } },
    ],
    [
      "writes every rename",
      { alone: true, here: { z: { x: "1" } }, store: { x: "1 in a" } },
      { writes: { x: "1 in z" }, seen: { x: "1 in z" } },
    ],
    [
      "deletes whatever its folder has not",
      { alone: true, here: {}, store: { x: "1 in a" } },
      { deletes: ["x"], seen: {} },
    ],
  ]
  test.each(cases)("%s", async (_, world, expected) => {
    expect(await outcomeOf(world)).toEqual(expected)
  })
})
