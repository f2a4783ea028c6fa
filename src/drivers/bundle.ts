import { createHash } from "node:crypto"
import { relative, resolve } from "node:path"
import { type BuildArtifact, type BunPlugin, fileURLToPath } from "bun"
import type { Fault } from "../model/fault.ts"

/** A driver file with all it imports in one text. */
export interface Bundle {
  readonly text: string
  /** SHA-256 of the text, in hex: the same wherever on disk the folder lies. */
  readonly hash: string
  /** The absolute paths of the files it was made of. */
  readonly inputs: readonly string[]
}

/**
 * Bundles one driver file with its imports; `conveyor` resolves to `sdk`. Faults carry the place in the file where the
 * fault is, which may be an imported one, relative to `folder`.
 */
export async function bundleDriver(
  file: string,
  {
    folder,
    sdk,
    sourceMap = true,
  }: { readonly folder: string; readonly sdk: string; readonly sourceMap?: boolean },
): Promise<Bundle | { readonly faults: readonly Fault[] }> {
  const build = await Bun.build({
    entrypoints: [file],
    target: "bun",
    format: "esm",
    throw: false,
    metafile: true,
    sourcemap: sourceMap ? "external" : "none",
    plugins: [conveyorModule(sdk)],
  })
  const [output] = build.outputs
  if (!build.success || output === undefined) return { faults: faultsOf(build.logs, { file, folder }) }
  const inputs = Object.keys(build.metafile?.inputs ?? {})
    .filter((input) => !input.startsWith(`${sdkNamespace}:`))
    .map((input) => ({ shown: input, path: resolve(input) }))
  const text = await placeless(output, { inputs, folder })
  return { text, hash: sha256(text), inputs: inputs.map(({ path }) => path) }
}

/** What a SHA-256 looks like in hex. */
export const sha256Pattern = /^[0-9a-f]{64}$/

/** SHA-256 in hex. */
export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex")
}

const sdkNamespace = "conveyor"

function conveyorModule(sdk: string): BunPlugin {
  return {
    name: "conveyor",
    setup(build) {
      build.onResolve({ filter: /^conveyor$/ }, () => ({ path: "sdk", namespace: sdkNamespace }))
      build.onLoad({ filter: /.*/, namespace: sdkNamespace }, () => ({ contents: sdk, loader: "ts" }))
    },
  }
}

/**
 * The bundle's text with every path relative to the drivers folder. Bun names files relative to the working
 * directory, in comments and in the source map, and a hash must not depend on where a host was started.
 */
async function placeless(
  output: BuildArtifact,
  {
    inputs,
    folder,
  }: {
    readonly inputs: readonly { readonly shown: string; readonly path: string }[]
    readonly folder: string
  },
): Promise<string> {
  const places = new Map(inputs.map(({ shown, path }) => [shown, relative(folder, path)]))
  const lines = (await output.text()).split("\n").flatMap((line) => {
    if (line.startsWith("//# debugId=") || line.startsWith("//# sourceMappingURL=")) return []
    if (!line.startsWith("// ")) return [line]
    const place = places.get(line.slice(3))
    return [place === undefined ? line : `// ${place}`]
  })
  const text = lines.join("\n")
  if (output.sourcemap === null) return text
  const { debugId: _, ...map } = (await output.sourcemap.json()) as { sources: string[]; debugId?: string }
  const sources = map.sources.map((source) => places.get(source) ?? source)
  const encoded = Buffer.from(JSON.stringify({ ...map, sources })).toString("base64")
  return `${text.trimEnd()}\n//# sourceMappingURL=data:application/json;base64,${encoded}\n`
}

function faultsOf(
  logs: readonly (BuildMessage | ResolveMessage)[],
  { file, folder }: { readonly file: string; readonly folder: string },
): Fault[] {
  const faults = logs
    .filter(({ level }) => level === "error")
    .map(({ message, position }): Fault => {
      const at = position?.file ? relative(folder, absolute(position.file)) : relative(folder, file)
      return {
        message,
        file: at,
        ...(position === null ? {} : { line: position.line, column: position.column }),
      }
    })
  return faults.length > 0
    ? faults
    : [{ message: "The file cannot be bundled", file: relative(folder, file) }]
}

function absolute(file: string): string {
  return file.startsWith("file://") ? fileURLToPath(file) : resolve(file)
}
