import { open, readFile, rename } from "node:fs/promises"
import { dirname, join } from "node:path"
import { ConveyorError, messageOf } from "../errors.ts"

/**
 * The id of a data folder, which it gets when it is used first and keeps for good: what lies in it is found by that, whatever
 * host runs on it. The folder must be there, and locked.
 */
export async function folderIdOf(folder: string): Promise<string> {
  const file = join(folder, "folder-id")
  try {
    const known = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return ""
      throw error
    })
    if (known.trim() !== "") return known.trim()
    const id = Bun.randomUUIDv7()
    await writeDurably(file, `${id}\n`)
    return id
  } catch (error) {
    const message = `The id of ${folder} cannot be settled: ${messageOf(error)}`
    throw new ConveyorError("STORE_UNAVAILABLE", message, { cause: error })
  }
}

/** Whole or not at all: with half an id, or another one after a power cut, nobody would find what the folder holds. */
async function writeDurably(file: string, text: string): Promise<void> {
  const written = `${file}.new`
  await using draft = await open(written, "w")
  await draft.writeFile(text)
  await draft.sync()
  await rename(written, file)
  await using folder = await open(dirname(file), "r")
  await folder.sync()
}
