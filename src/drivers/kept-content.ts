import { type Dirent, rmSync } from "node:fs"
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { sha256, sha256Pattern } from "./bundle.ts"
import { isUnfinished, writeOnce } from "./driver-loader.ts"
import type { DriverRunners } from "./runners.ts"

/**
 * The driver content in the data folder: bundles as `<hash>.js`, executables as `<hash>/<name>`. It outlives the
 * process, so that a run goes on with the code it started with after a restart.
 */
export interface KeptContent {
  /** Reads what there is. Call it before anything else. */
  start(): Promise<void>
  has(hash: string): boolean
  /** The hash of everything that is in the folder, drivers that were loaded from their files among it. */
  hashes(): Promise<readonly string[]>
  /** Makes it runnable; false when it is not here, or is not what its hash says. */
  provide(hash: string): Promise<boolean>
  /** The text of a bundle; undefined for anything else. */
  text(hash: string): Promise<string | undefined>
  /** Writes a bundle down. Rejects when the text is not what the hash says. */
  keep(hash: string, text: string): Promise<void>
  /** Deletes it, and it cannot be run any more. */
  forget(hash: string): void
}

export function keptContent({
  folder,
  runners,
}: {
  readonly folder: string
  readonly runners: DriverRunners
}): KeptContent {
  const bundles = new Set<string>()
  const executables = new Map<string, string>()
  const bundleFile = (hash: string) => join(folder, `${hash}.js`)

  async function text(hash: string): Promise<string | undefined> {
    const file = Bun.file(bundleFile(hash))
    if (!(await file.exists())) return undefined
    const content = await file.text()
    return sha256(content) === hash ? content : undefined
  }

  return {
    async start() {
      for (const entry of await entriesOf(folder)) {
        const hash = hashOf(entry)
        if (hash === undefined) continue
        if (entry.isFile()) bundles.add(hash)
        const [file] = entry.isDirectory() ? await entriesOf(join(folder, hash)) : []
        if (file !== undefined) executables.set(hash, join(folder, hash, file.name))
      }
    },
    async hashes() {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
      return entries.flatMap((entry) => hashOf(entry) ?? [])
    },
    has: (hash) => bundles.has(hash) || executables.has(hash),
    async provide(hash) {
      const executable = executables.get(hash)
      if (executable !== undefined && sha256(await Bun.file(executable).bytes()) === hash) {
        runners.executable(hash, { file: executable, original: executable })
        return true
      }
      if ((await text(hash)) === undefined) return false
      runners.module(hash, bundleFile(hash))
      return true
    },
    text,
    async keep(hash, content) {
      if (sha256(content) !== hash)
        throw new Error(`The code kept for the driver hash ${hash} is not what the hash says`)
      await writeOnce(bundleFile(hash), content)
      bundles.add(hash)
    },
    forget(hash) {
      bundles.delete(hash)
      executables.delete(hash)
      runners.drop(hash)
      for (const path of [bundleFile(hash), join(folder, hash)])
        rmSync(path, { recursive: true, force: true })
    },
  }
}

/** What is in a folder, without what a host that was killed had not finished writing: that is deleted. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  const whole: Dirent[] = []
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (isUnfinished(entry.name)) await rm(join(folder, entry.name), { force: true })
    else whole.push(entry)
  }
  return whole
}

function hashOf({ name }: Dirent): string | undefined {
  const hash = name.replace(/\.js$/, "")
  return sha256Pattern.test(hash) ? hash : undefined
}
