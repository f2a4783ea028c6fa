import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ConveyorError, messageOf } from "../errors.ts"
import { checkFormat, format } from "./format.ts"

/**
 * Checks the format of a data folder, and writes it where there is none. Throws `STORE_CORRUPT` for one of another
 * format, with nothing in it touched. The folder must be there, and locked.
 */
export async function settleFolderFormat(folder: string): Promise<void> {
  const file = join(folder, "format")
  try {
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined
      throw error
    })
    if (text === undefined) return await writeFile(file, `${format}\n`)
    const found = text.trim()
    checkFormat(/^\d+$/.test(found) ? Number(found) : JSON.stringify(found), folder)
  } catch (error) {
    if (error instanceof ConveyorError) throw error
    const message = `The format of ${folder} cannot be settled: ${messageOf(error)}`
    throw new ConveyorError("STORE_UNAVAILABLE", message, { cause: error })
  }
}
