import { open, rename, rm } from "node:fs/promises"
import { basename, dirname, join } from "node:path"

/**
 * Writes a file so that it is there as a whole or not at all, after a power cut too. Its folder must be there. Calls for the
 * same file may come at the same time: one of them stands.
 */
export async function writeDurably(file: string, content: string | Uint8Array): Promise<void> {
  const written = join(dirname(file), `.${basename(file)}.${crypto.randomUUID()}.new`)
  try {
    await using draft = await open(written, "wx")
    await draft.writeFile(content)
    await draft.sync()
  } catch (error) {
    await rm(written, { force: true })
    throw error
  }
  await rename(written, file)
  await syncFolder(dirname(file))
}

/** Makes the names of what is in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r")
  await handle.sync()
}
