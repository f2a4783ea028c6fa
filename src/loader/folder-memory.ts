import { open, readFile, rename } from "node:fs/promises"
import { dirname } from "node:path"
import * as v from "valibot"
import { canonicalJson } from "../model/json.ts"
import type { Seen } from "./decide.ts"
import type { DeclaredName } from "./ownership.ts"

/** What a pipelines folder was last seen with, kept over restarts. */
export interface FolderMemory {
  readonly seen: ReadonlyMap<DeclaredName, Seen>
  /** Resolves when it would survive a power cut. Writes nothing when it is the same as before. */
  keep(seen: ReadonlyMap<DeclaredName, Seen>): Promise<void>
}

/** Whose memory it is: with another store, or of another folder, there is none. */
export interface RememberedFolder {
  readonly storeId: string
  /** Absolute. */
  readonly folder: string
}

const nameSchema = v.custom<DeclaredName>(
  (name) => typeof name === "string" && /^(?:pipeline|definition) ./.test(name),
)
const memorySchema = v.object({
  storeId: v.string(),
  folder: v.string(),
  seen: v.array(
    v.object({
      name: nameSchema,
      file: v.string(),
      hash: v.string(),
      isNew: v.exactOptional(v.boolean()),
    }),
  ),
})

/** Opens the memory in a file, which need not be there. One that cannot be read is none: then nothing is taken for an edit. */
export async function openFolderMemory(file: string, of: RememberedFolder): Promise<FolderMemory> {
  let seen = await read(file, of)
  let text = textOf(seen, of)
  return {
    get seen() {
      return seen
    },
    async keep(next) {
      // This process knows it in any case: an edit must not be written twice because a disk is full.
      seen = next
      const nextText = textOf(next, of)
      if (nextText !== text) await writeDurably(file, nextText)
      text = nextText
    },
  }
}

/** A memory of nothing, for where no other host can use the store. */
export function noFolderMemory(): FolderMemory {
  return { seen: new Map(), keep: async () => {} }
}

async function read(file: string, of: RememberedFolder): Promise<ReadonlyMap<DeclaredName, Seen>> {
  const memory = v.safeParse(memorySchema, parse(await readFile(file, "utf8").catch(() => "")))
  if (!memory.success || memory.output.storeId !== of.storeId || memory.output.folder !== of.folder) {
    return new Map()
  }
  return new Map(memory.output.seen.map(({ name, ...seen }) => [name, seen]))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function textOf(seen: ReadonlyMap<DeclaredName, Seen>, { storeId, folder }: RememberedFolder): string {
  const sorted = [...seen].sort(([a], [b]) => (a < b ? -1 : 1))
  const list = sorted.map(([name, one]) => ({ name, ...one }))
  return `${canonicalJson({ storeId, folder, seen: list })}\n`
}

async function writeDurably(file: string, text: string): Promise<void> {
  const written = `${file}.new`
  const handle = await open(written, "w")
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(written, file)
  const folder = await open(dirname(file), "r")
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
