import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import { Glob } from "bun"

/*
 * Who may import whom. The key is a part of src (a folder, or a file that stands for itself), the value the parts it
 * may import besides itself. `anywhere` may be imported by every part but model.
 */
const root = resolve(import.meta.dir, "..")
const src = join(root, "src")

const anywhere = ["errors.ts", "config.ts", "version.ts", "model"]
const mayImport: Readonly<Record<string, readonly string[]>> = {
  model: [],
  explain: ["errors.ts", "model"],
  "errors.ts": ["model"],
  "config.ts": ["errors.ts", "model"],
  "version.ts": [],
  store: [...anywhere, "files"],
  logs: [...anywhere, "store", "files"],
  results: [...anywhere, "files"],
  files: [],
  hosts: [...anywhere, "store"],
  loader: [...anywhere, "store", "files", "hosts"],
  drivers: [...anywhere, "store", "files"],
  engine: [
    ...anywhere,
    "store",
    "hosts",
    "drivers/driver-host.ts",
    "logs/log-store.ts",
    "results/result-store.ts",
  ],
  retention: [...anywhere, "files", "store"],
  api: [...anywhere, "store", "logs", "results", "explain", "dashboard"],
  dashboard: ["model"],
  "host.ts": [
    ...anywhere,
    "store",
    "hosts",
    "logs",
    "results",
    "loader",
    "drivers",
    "engine",
    "retention",
    "api",
  ],
  cli: [...anywhere, "explain"],
  "cli/serve.ts": [...anywhere, "host.ts"],
  "cli/local-host.ts": [...anywhere, "host.ts"],
  "cli/store.ts": [...anywhere, "store", "results"],
  "cli/validate.ts": [...anywhere, "loader"],
  "cli/pipeline-files.ts": [...anywhere, "loader"],
  "cli/check-pipelines.ts": [
    ...anywhere,
    "loader",
    "drivers/driver-names.ts",
    "drivers/driver-inputs.ts",
    "drivers/load-inputs.ts",
  ],
  "main.ts": [...anywhere, "cli"],
  "build.ts": ["build", "version.ts"],
  build: ["drivers"],
  "demo.ts": [],
}

interface Import {
  readonly from: string
  readonly to: string
}

const sources = [...new Glob("**/*.{ts,tsx}").scanSync(src)].sort()
const imports = sources.flatMap(importsOf)

/** Imports within src, written as paths relative to it; types count, because they couple all the same. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), "utf8")
  const pattern = /(?:^|[^\w.])(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g
  return [...text.matchAll(pattern)]
    .map((match) => relative(src, resolve(src, dirname(file), match[1] as string)))
    .filter((to) => !to.startsWith(".."))
    .map((to) => ({ from: file, to }))
}

/** The part of src a file belongs to: its own rule where it has one, else its folder. */
const partOf = (file: string) => (file in mayImport ? file : (file.split("/")[0] as string))
const folderOf = (file: string) => file.split("/")[0] as string

function isAllowed({ from, to }: Import): boolean {
  if (folderOf(from) === folderOf(to)) return true
  const allowed = mayImport[partOf(from)] ?? []
  return allowed.includes(to) || allowed.includes(folderOf(to))
}

const show = ({ from, to }: Import) => `${from} → ${to}`

describe("the architecture", () => {
  test("has a rule for every part of src", () => {
    expect(sources.filter((file) => !(partOf(file) in mayImport))).toEqual([])
  })

  test("is seen whole: the imports that hold it together are found", () => {
    expect(imports.map(show)).toContain("errors.ts → model/fault.ts")
    expect(imports.map(show)).toContain("main.ts → cli/serve.ts")
  })

  test("refuses an import against its directions", () => {
    expect(isAllowed({ from: "model/run.ts", to: "store/keys.ts" })).toBe(false)
    expect(isAllowed({ from: "api/app.ts", to: "engine/engine.ts" })).toBe(false)
    expect(isAllowed({ from: "engine/engine.ts", to: "drivers/worker.ts" })).toBe(false)
    expect(isAllowed({ from: "cli/run.ts", to: "store/store.ts" })).toBe(false)
  })

  test("keeps its import directions", () => {
    expect(imports.filter((edge) => !isAllowed(edge)).map(show)).toEqual([])
  })

  test("has no cycle between folders", () => {
    const next = new Map<string, Set<string>>()
    for (const { from, to } of imports) {
      const [a, b] = [folderOf(from), folderOf(to)]
      if (a !== b) next.set(a, (next.get(a) ?? new Set()).add(b))
    }
    const leadsTo = (from: string, goal: string, seen = new Set<string>()): boolean =>
      [...(next.get(from) ?? [])].some(
        (to) => to === goal || (!seen.has(to) && leadsTo(to, goal, seen.add(to))),
      )
    expect([...next.keys()].filter((folder) => leadsTo(folder, folder))).toEqual([])
  })

  test("has no file or folder that could hold anything", () => {
    const vague =
      /^(index|utils?|helpers?|common|misc|shared)(\.|$)|(Manager|Service|Impl|-manager|-service|-impl)\./
    expect(sources.filter((file) => file.split("/").some((part) => vague.test(part)))).toEqual([])
  })

  test("writes the ending of a file it imports", () => {
    expect(imports.filter(({ to }) => !/\.\w+$/.test(basename(to))).map(show)).toEqual([])
  })

  test("leaves no work behind in a comment, and asks no check to look away", () => {
    const left = /\b(TODO|FIXME|XXX|HACK)\b|@ts-ignore|@ts-nocheck|\bas any\b|\beslint-disable\b/
    expect(sources.filter((file) => left.test(readFileSync(join(src, file), "utf8")))).toEqual([])
  })

  test("has no file longer than a reader can hold", () => {
    const lines = (file: string) => readFileSync(join(src, file), "utf8").split("\n").length
    expect(sources.filter((file) => lines(file) > 400)).toEqual([])
  })
})
