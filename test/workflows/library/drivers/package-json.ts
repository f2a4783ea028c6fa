/** Reads name and version out of a package.json, so that conditions can ask for them. */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { defineDriver, NotRetryable } from "conveyor"

export default defineDriver<{ readonly path?: string }>({
  async reconcile(ctx) {
    const file = join(ctx.workspace, ctx.input.path ?? ".", "package.json")
    const { name, version } = JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>
    if (typeof name !== "string" || typeof version !== "string") {
      throw new NotRetryable(`${file} has no name and version`)
    }
    return { success: true, message: `${name} ${version}`, data: { name, version } }
  },
})
