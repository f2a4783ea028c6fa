import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import type { Fault } from "../model/fault.ts"

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

/**
 * A warning for each file that looks like a driver and is none: it begins with `#!`, and may not be executed. A step that
 * names it would wait, and nothing else would say why.
 */
export async function unmarkedScripts(folder: string): Promise<readonly Fault[]> {
  const names = await readdir(folder).catch(() => [])
  const others = names.sort().filter((file) => !notDriver.test(file) && !moduleFile.test(file))
  const found = await Promise.all(others.map((file) => isUnmarked(join(folder, file))))
  return others
    .filter((_, index) => found[index])
    .map((file) => ({
      message: `It begins with #! but may not be executed; chmod +x ${file} makes it a driver`,
      file,
      severity: "warning",
    }))
}

async function isUnmarked(path: string): Promise<boolean> {
  try {
    const status = await stat(path)
    if (!status.isFile() || (status.mode & 0o111) !== 0) return false
    return (await Bun.file(path).slice(0, 2).text()) === "#!"
  } catch {
    return false // It has gone since the folder was listed, or is not ours to read.
  }
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
