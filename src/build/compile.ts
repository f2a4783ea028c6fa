import { createHash } from "node:crypto"
import { chmod, mkdir, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { BunPlugin } from "bun"

/** An executable that has been written. */
export interface Executable {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/**
 * Compiles the sources under `root` into one executable at `outfile`, an absolute path. It takes the place of what was
 * there in one step, so that a running one is not disturbed and a failed build leaves the old one. The same sources,
 * commit and Bun give the same bytes.
 */
export async function compile(options: {
  readonly root: string
  readonly outfile: string
  /** Empty when the sources are not a git checkout. */
  readonly commit: string
  readonly plugins: readonly BunPlugin[]
}): Promise<Executable> {
  const { root, outfile } = options
  const unfinished = `${outfile}.unfinished`
  await mkdir(dirname(outfile), { recursive: true })
  try {
    const result = await Bun.build({
      // The worker is a second entry: it is started by its path inside the executable.
      entrypoints: [join(root, "src/main.ts"), join(root, "src/drivers/worker.ts")],
      root: join(root, "src"),
      target: "bun",
      format: "esm",
      bytecode: true,
      // Elysia reads the source text of handlers, so names must stay as they are.
      minify: { syntax: true, whitespace: true, identifiers: false },
      define: { CONVEYOR_COMMIT: JSON.stringify(options.commit), "process.env.NODE_ENV": '"production"' },
      plugins: [...options.plugins],
      compile: {
        outfile: unfinished,
        // A working directory is not trusted: no file in it may run code or change the environment before we do.
        autoloadDotenv: false,
        autoloadBunfig: false,
      },
      throw: false,
    })
    if (!result.success) throw new AggregateError(result.logs, "The executable cannot be built")
    await chmod(unfinished, 0o755)
    await rename(unfinished, outfile)
  } finally {
    await rm(unfinished, { force: true })
  }
  const content = await Bun.file(outfile).bytes()
  return {
    path: outfile,
    bytes: content.length,
    sha256: createHash("sha256").update(content).digest("hex"),
  }
}
