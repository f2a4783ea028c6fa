import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { ConveyorError, messageOf } from "../errors.ts"
import { writeDurably } from "../files/write-durably.ts"

/**
 * The id of a data folder, which it gets when it is used first and keeps for good: what lies in it is found by that, whatever
 * host runs on it. The folder must be there, and locked.
 */
export async function folderIdOf(folder: string): Promise<string> {
  try {
    const known = await knownFolderId(folder)
    if (known !== undefined) return known
    const id = Bun.randomUUIDv7()
    // With half an id, or another one after a power cut, nobody would find what the folder holds.
    await writeDurably(fileOf(folder), `${id}\n`)
    return id
  } catch (error) {
    const message = `The id of ${folder} cannot be settled: ${messageOf(error)}`
    throw new ConveyorError("STORE_UNAVAILABLE", message, { cause: error })
  }
}

/** The id of a data folder, if it was ever used. */
export async function knownFolderId(folder: string): Promise<string | undefined> {
  const text = await readFile(fileOf(folder), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return ""
    throw error
  })
  return text.trim() === "" ? undefined : text.trim()
}

const fileOf = (folder: string) => join(folder, "folder-id")
