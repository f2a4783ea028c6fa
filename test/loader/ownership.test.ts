import { describe, expect, test } from "bun:test"
import { type DeclaredName, decideOwnership } from "../../src/loader/ownership.ts"
import { type ParsedFile, parseFile } from "../../src/loader/parse.ts"
import { pipelineText } from "./loader-rig.ts"

interface World {
  /** What each file declares; undefined: it is faulty. */
  readonly files: Readonly<Record<string, readonly string[] | undefined>>
  readonly owned?: Readonly<Record<string, string>>
  readonly uncertain?: Readonly<Record<string, "unreadable" | "vanished">>
}

/** Who holds what, with a "*" where the last good version goes on; and which files are refused. */
async function decide({ files, owned = {}, uncertain = {} }: World) {
  const parsed = await Promise.all(
    Object.entries(files)
      .sort()
      .map(async ([file, names]): Promise<[string, ParsedFile]> => {
        const text = names === undefined ? "oops: [" : names.map((name) => pipelineText(name)).join("---\n")
        return [file, await parseFile(file, text)]
      }),
  )
  const before = Object.entries(owned).map(([name, file]): [DeclaredName, string] => [
    `pipeline ${name}`,
    file,
  ])
  const view = { files: new Map(parsed), isUncertain: (file: string) => uncertain[file] }
  const { holdings, refused } = decideOwnership(view, new Map(before))
  const held = [...holdings].map(([name, { file, declaration }]) => [
    name.replace("pipeline ", ""),
    declaration === undefined ? `${file}*` : file,
  ])
  return { held: Object.fromEntries(held), refused: [...refused.keys()] }
}

describe("a name", () => {
  const cases: readonly (readonly [string, World, Awaited<ReturnType<typeof decide>>])[] = [
    [
      "goes to the first file by name",
      { files: { b: ["x"], a: ["x"] } },
      { held: { x: "a" }, refused: ["b"] },
    ],
    [
      "stays with its owner, whatever the files are called",
      { files: { a: ["x"], b: ["x"] }, owned: { x: "b" } },
      { held: { x: "b" }, refused: ["a"] },
    ],
    [
      "stays with a file that became faulty",
      { files: { a: ["x"], b: undefined }, owned: { x: "b" } },
      { held: { x: "b*" }, refused: ["b", "a"] },
    ],
    [
      "stays with a file that became empty",
      { files: { a: [] }, owned: { x: "a" } },
      { held: { x: "a*" }, refused: ["a"] },
    ],
    ["is free when its file is gone", { files: {}, owned: { x: "a" } }, { held: {}, refused: [] }],
    [
      "is free when its file no longer declares it",
      { files: { a: ["y"] }, owned: { x: "a" } },
      { held: { y: "a" }, refused: [] },
    ],
    [
      "stays when nothing can be said of its file",
      { files: { b: ["x"] }, owned: { x: "sub/a" }, uncertain: { "sub/a": "unreadable" } },
      { held: { x: "sub/a*" }, refused: ["b"] },
    ],
    [
      "stays when its file has just vanished and none takes it",
      { files: {}, owned: { x: "a" }, uncertain: { a: "vanished" } },
      { held: { x: "a*" }, refused: [] },
    ],
    [
      "follows a rename at once",
      { files: { b: ["x"] }, owned: { x: "a" }, uncertain: { a: "vanished" } },
      { held: { x: "b" }, refused: [] },
    ],
    [
      "may be swapped between two files",
      { files: { a: ["y"], b: ["x"] }, owned: { x: "a", y: "b" } },
      { held: { y: "a", x: "b" }, refused: [] },
    ],
    [
      "stays as it was with all of its file when that is refused for another name",
      { files: { a: ["x"], b: ["x", "y"] }, owned: { x: "a", y: "b", z: "b" } },
      { held: { x: "a", y: "b*", z: "b*" }, refused: ["b"] },
    ],
  ]
  test.each(cases)("%s", async (_, world, expected) => {
    expect(await decide(world)).toEqual(expected)
  })
})
