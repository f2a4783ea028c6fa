import { rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { messageOf } from "../errors.ts"
import { type EditorDriver, editorSchema } from "./editor-schema.ts"

/**
 * The file's name. It lies in the pipelines folder, so that a pipeline finds it by the same relative path wherever the
 * folder is, and outside of it nothing is written. Its dot keeps it from being read as a pipeline.
 */
export const editorFileName = ".schema.json"

/** The JSON Schema for editors in the pipelines folder. */
export interface EditorFile extends AsyncDisposable {
  /** Writes it soon where it is not as it should be. Never throws: without it a comfort is missing, and nothing else. */
  readonly update: () => void
}

/** Makes it of the drivers there are at each update. A folder that is missing is not made. */
export function createEditorFile({
  folder,
  drivers,
  log,
}: {
  readonly folder: string
  readonly drivers: () => readonly EditorDriver[]
  readonly log?: { warn(message: string): void }
}): EditorFile {
  const file = join(folder, editorFileName)
  let writing: Promise<void> | undefined
  let again = false
  let troubled = false
  let disposed = false

  async function write(): Promise<void> {
    const text = `${JSON.stringify(editorSchema(drivers()), undefined, 2)}\n`
    if ((await textOf(file)) === text) return
    const unfinished = `${file}.${Bun.randomUUIDv7()}`
    try {
      await Bun.write(unfinished, text, { createPath: false })
      await rename(unfinished, file)
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {})
      throw error
    }
  }

  /** Says the first trouble only: a folder that cannot be written will be so at each change of a driver. */
  async function writeSafely(): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (troubled || isMissing(error)) return
      troubled = true
      log?.warn(`The schema for editors cannot be written: ${messageOf(error)}`)
    }
  }

  async function work(): Promise<void> {
    while (again) {
      again = false
      await writeSafely()
    }
    writing = undefined
  }

  return {
    update() {
      if (disposed) return
      again = true
      writing ??= work()
    },
    async [Symbol.asyncDispose]() {
      disposed = true
      await writing
    },
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT"
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await Bun.file(file).text()
  } catch {
    return undefined
  }
}
