import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"

/** A file of the drivers folder that is, or ought to be, a driver. */
export interface DriverFile {
  /** Its name in the folder. */
  readonly file: string
  readonly path: string
  readonly type: "module" | "executable"
  /** The driver's name when it names none itself: the file's without its ending. */
  readonly name: string
}

const moduleFile = /\.(ts|tsx|js|mjs|cjs)$/
const notDriver = /^\.|\.d\.ts$|\.test\.[a-z]+$|\.json$/

/**
 * The driver files at the top level of a folder, ordered by name: modules by their ending, and every other
 * regular file that may be executed. Tests, declarations, JSON and dotfiles are none. A folder that is missing has none.
 */
export async function listDriverFiles(folder: string): Promise<readonly DriverFile[]> {
  const names = await readdir(folder).catch(() => [])
  const files = await Promise.all(names.sort().map((file) => readDriverFile(folder, file)))
  return files.filter((file) => file !== undefined)
}

async function readDriverFile(folder: string, file: string): Promise<DriverFile | undefined> {
  if (notDriver.test(file)) return undefined
  const path = join(folder, file)
  // It may be gone since the folder was listed.
  const status = await stat(path).catch(() => undefined)
  if (status === undefined || !status.isFile()) return undefined
  const name = file.replace(/\.[^.]*$/, "")
  if (moduleFile.test(file)) return { file, path, type: "module", name }
  return (status.mode & 0o111) === 0 ? undefined : { file, path, type: "executable", name }
}

/** A text that changes when the content or the mode of any of these files does. Missing files have one too. */
export async function fingerprint(paths: readonly string[]): Promise<string> {
  const prints = await Promise.all(
    paths.map(async (path) => {
      try {
        const [bytes, { mode }] = await Promise.all([Bun.file(path).bytes(), stat(path)])
        return `${path}:${mode}:${Bun.hash(bytes)}`
      } catch {
        return `${path}:-`
      }
    }),
  )
  return prints.join("\n")
}
