import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { sha256, sha256Pattern } from "./bundle.ts"
import { writeOnce } from "./driver-loader.ts"
import type { DriverRunners } from "./runners.ts"

/**
 * The driver content in the data folder: bundles as `<hash>.js`, executables as `<hash>/<name>`. It outlives the
 * process, so that a run goes on with the code it started with after a restart.
 */
export interface KeptContent {
  /** Reads what there is. Call it before anything else. */
  start(): Promise<void>
  has(hash: string): boolean
  /** Makes it runnable; false when it is not here, or is not what its hash says. */
  provide(hash: string): Promise<boolean>
  /** The text of a bundle; undefined for anything else. */
  text(hash: string): Promise<string | undefined>
  /** Writes a bundle down. Rejects when the text is not what the hash says. */
  keep(hash: string, text: string): Promise<void>
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
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        const hash = entry.name.replace(/\.js$/, "")
        if (!sha256Pattern.test(hash)) continue
        if (entry.isFile()) bundles.add(hash)
        const [file] = entry.isDirectory() ? await readdir(join(folder, hash)) : []
        if (file !== undefined) executables.set(hash, join(folder, hash, file))
      }
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
  }
}
