import { mkdir } from "node:fs/promises"
import { join } from "node:path"

const packageJson = `${JSON.stringify(
  { name: "conveyor", version: "0.0.0", type: "module", exports: "./index.ts", types: "./index.ts" },
  undefined,
  2,
)}\n`

/**
 * Puts the SDK's source into `node_modules/conveyor` of the drivers folder, so that editors and type checkers
 * find what `import … from "conveyor"` means. Writes only what is missing or different. A folder that cannot be
 * written is left as it is: drivers load all the same.
 */
export async function writeSdkTypes(folder: string, sdk: string): Promise<void> {
  const target = join(folder, "node_modules/conveyor")
  try {
    await mkdir(target, { recursive: true })
    await writeWhenDifferent(join(target, "package.json"), packageJson)
    await writeWhenDifferent(join(target, "index.ts"), sdk)
  } catch {
    // Read-only, or gone meanwhile: a comfort is missing, and nothing else.
  }
}

async function writeWhenDifferent(file: string, text: string): Promise<void> {
  const present = Bun.file(file)
  if ((await present.exists()) && (await present.text()) === text) return
  await Bun.write(present, text)
}
