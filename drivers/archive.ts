/**
 * Packs a file or a folder as tar.gz and writes its SHA-256 beside it.
 *
 *   with:
 *     path: dist             # relative to the workspace
 *     to: out/dist.tar.gz    # relative to the workspace, or absolute; default: <name of path>.tar.gz
 *     pack: false            # no archive: `path` is a file, copied to `to` when there is one, and gets its checksum
 *
 * The checksum is written as `<to>.sha256` (`<path>.sha256` without `to`) in the form `sha256sum -c` reads. Where `path` is missing in
 * the step, the resource's `spec.path` is taken. Data: `{ path, sha256, sizeBytes }` of what was written, the
 * path absolute.
 */
import { copyFile, mkdir, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, resolve } from "node:path"
import { defineDriver } from "conveyor"
import * as v from "valibot"

const pathSchema = v.pipe(v.string(), v.nonEmpty("Expected a path"))
const inputSchema = v.strictObject(
  {
    path: v.optional(
      v.pipe(
        pathSchema,
        v.description("What to pack, relative to the workspace; default: the `path` of the resource's spec"),
      ),
    ),
    to: v.optional(v.pipe(pathSchema, v.description("Where to; default: `<name of path>.tar.gz`"))),
    pack: v.optional(
      v.pipe(v.boolean(), v.description("`false`: `path` is a file, which is copied and not packed")),
      true,
    ),
  },
  (issue) =>
    issue.expected === "never" ? "There is no such input; there are path, to, pack" : issue.message,
)
const outputSchema = v.object({
  path: v.pipe(v.string(), v.description("Absolute")),
  sha256: v.string(),
  sizeBytes: v.number(),
})

export default defineDriver({
  input: inputSchema,
  output: outputSchema,
  readsResults: false,
  async reconcile(ctx) {
    const spec = v.safeParse(v.object({ path: pathSchema }), ctx.resource.spec)
    const path = ctx.input.path ?? (spec.success ? spec.output.path : undefined)
    if (path === undefined)
      return { success: false, message: "Expected a `path`, in the step or in the resource's spec" }
    const source = resolve(ctx.workspace, path)
    const status = await stat(source).catch(() => undefined)
    if (status === undefined) return { success: false, message: `There is no ${source}` }
    const { pack } = ctx.input
    if (!pack && !status.isFile())
      return { success: false, message: `${source} is not a file; only files are copied` }

    const to = ctx.input.to ?? (pack ? `${basename(source)}.tar.gz` : undefined)
    const target = to === undefined ? source : resolve(ctx.workspace, to)
    if (target !== source) {
      const unfinished = `${target}.${process.pid}-${ctx.attempt}.unfinished`
      await mkdir(dirname(target), { recursive: true })
      try {
        if (pack) {
          // What is being written may lie in the folder that is packed.
          const exclude = `--exclude=${basename(unfinished)}`
          await ctx.exec(["tar", exclude, "-C", dirname(source), "-czf", unfinished, "--", basename(source)])
        } else await copyFile(source, unfinished)
        await rename(unfinished, target)
      } finally {
        await rm(unfinished, { force: true })
      }
    }
    const sha256 = await sha256Of(target)
    await Bun.write(`${target}.sha256`, `${sha256}  ${basename(target)}\n`)
    const { size: sizeBytes } = await stat(target)
    return {
      success: true,
      message: `${target} (${sizeBytes} bytes)`,
      data: { path: target, sha256, sizeBytes },
    }
  },
})

async function sha256Of(file: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256")
  for await (const bytes of Bun.file(file).stream()) hasher.update(bytes)
  return hasher.digest("hex")
}
