import { cp, mkdir, readdir } from "node:fs/promises"
import { join } from "node:path"
import { tempFolder } from "../rig/temp-folder.ts"

/**
 * A new folder as a host finds it: the workflow's YAML files as `pipelines/`, and what it has in `drivers` as
 * `drivers/`. Whoever works in it has a home there, too.
 */
export async function workflowFolder(name: string): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await tempFolder()
  const from = join(import.meta.dir, name)
  for (const each of ["pipelines", "drivers"]) await mkdir(join(folder.path, each))
  for (const file of await readdir(from)) {
    if (file.endsWith(".yaml")) await cp(join(from, file), join(folder.path, "pipelines", file))
    if (file === "drivers") await cp(join(from, file), join(folder.path, file), { recursive: true })
  }
  return folder
}
