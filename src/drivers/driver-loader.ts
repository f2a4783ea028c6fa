import { chmod, mkdir, rename } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { DriverDescription, DriverSchemas } from "../model/driver.ts"
import type { Fault } from "../model/fault.ts"
import { isStringList } from "../model/json.ts"
import { isName, nameRule } from "../model/name.ts"
import { isUuid } from "../model/uuid.ts"
import { bundleDriver, sha256 } from "./bundle.ts"
import { type DriverFile, fingerprint } from "./driver-files.ts"
import type { LoadedDriver } from "./protocol.ts"
import type { DriverRunners } from "./runners.ts"

/** How long a module may take to load before it counts as one that hangs. */
const loadMsDefault = 10_000

/** What became of a driver file. */
export interface LoadedFile {
  /** The driver in it; absent when it has faults. */
  readonly driver?: DriverDescription
  readonly faults: readonly Fault[]
  /** The files it was made of. */
  readonly inputs: readonly string[]
  /** Of the inputs. Undefined when it must be read again whatever happened. */
  readonly print: string | undefined
}

/** Loads driver files: bundles and describes modules, reads executables, and makes both runnable by their hash. */
export interface DriverLoader {
  load(file: DriverFile): Promise<LoadedFile>
  /** What a module that was loaded takes and gives. */
  schemasOf(hash: string): DriverSchemas | undefined
}

/** A loader for the drivers in `folder`; what must be on disk to run goes below `data`. */
export function createDriverLoader({
  folder,
  data,
  sdk,
  runners,
  loadMsMax = loadMsDefault,
}: {
  readonly folder: string
  readonly data: string
  readonly sdk: string
  readonly runners: DriverRunners
  readonly loadMsMax?: number
}): DriverLoader {
  const described = new Map<string, Described>()

  async function loadModule({ file, path, name }: DriverFile): Promise<LoadedFile> {
    const bundle = await bundleDriver(path, { folder, sdk })
    if ("faults" in bundle) return { faults: bundle.faults, inputs: [path], print: undefined }
    const { hash, text, inputs } = bundle
    const print = await fingerprint(inputs)
    const bundleFile = join(data, "drivers", `${hash}.js`)
    await writeOnce(bundleFile, text)
    // Also where it is known what it says of itself: its code may have been deleted meanwhile, while it did not serve.
    runners.module(hash, bundleFile)
    const loaded = described.get(hash) ?? (await describe(hash, bundleFile))
    if (typeof loaded === "string") return { faults: [{ message: loaded, file }], inputs, print: undefined }
    described.set(hash, loaded)
    const { driver } = loaded
    return checked(
      { name: driver.name ?? name, hash, resources: driver.resources, type: driver.type, source: file },
      { inputs, print },
    )
  }

  async function describe(hash: string, bundleFile: string): Promise<Described | string> {
    const pool = runners.module(hash, bundleFile)
    const hangs = `The file does not finish loading within ${loadMsMax / 1000} s`
    const { promise: tooLate, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(resolve, loadMsMax)
    const thread = await Promise.race([pool.acquire(), tooLate])
    const driver = thread === undefined ? hangs : await thread.loaded
    const schemas = await Promise.race([thread?.describe(), tooLate])
    clearTimeout(timer)
    if (schemas === undefined) thread?.end("The driver's schemas take too long to tell")
    if (thread !== undefined) pool.release(thread)
    if (typeof driver !== "string") return { driver, schemas: schemas ?? {} }
    runners.drop(hash)
    return driver
  }

  async function loadExecutable({ file, path, name }: DriverFile): Promise<LoadedFile> {
    const sidecar = join(dirname(path), `${name}.json`)
    const inputs = [path, sidecar]
    const print = await fingerprint(inputs)
    const resources = await readResources(sidecar)
    if (!isStringList(resources)) {
      return {
        faults: [
          { message: 'Expected { "resources": ["<name>", …] } and nothing else', file: `${name}.json` },
        ],
        inputs,
        print,
      }
    }
    const bytes = await Bun.file(path).bytes()
    const hash = sha256(bytes)
    // Named after the original: it is the first thing a program learns of itself.
    const copy = join(data, "drivers", hash, file)
    await writeOnce(copy, bytes)
    runners.executable(hash, { file: copy, original: path })
    return checked({ name, hash, resources, type: "executable", source: file }, { inputs, print })
  }

  return {
    load: (file) => (file.type === "module" ? loadModule(file) : loadExecutable(file)),
    schemasOf: (hash) => described.get(hash)?.schemas,
  }
}

interface Described {
  readonly driver: LoadedDriver
  readonly schemas: DriverSchemas
}

function checked(
  driver: DriverDescription,
  { inputs, print }: { readonly inputs: readonly string[]; readonly print: string },
): LoadedFile {
  if (isName(driver.name)) return { driver, faults: [], inputs, print }
  const message = `"${driver.name}" cannot be a driver's name; expected ${nameRule}`
  return { faults: [{ message, file: driver.source }], inputs, print }
}

/** The kinds in an executable's sidecar, none when there is no sidecar, undefined when it says something else. */
async function readResources(sidecar: string): Promise<unknown> {
  const file = Bun.file(sidecar)
  if (!(await file.exists())) return []
  try {
    const content: unknown = await file.json()
    return typeof content === "object" && content !== null && "resources" in content
      ? content.resources
      : undefined
  } catch {
    return undefined
  }
}

/** Writes a file whose name says its content; afterwards it is whole or not there, and may be executed. */
export async function writeOnce(path: string, content: string | Uint8Array): Promise<void> {
  const wanted = typeof content === "string" ? Buffer.from(content) : content
  const present = Bun.file(path)
  if ((await present.exists()) && Buffer.compare(await present.bytes(), wanted) === 0) return
  const unfinished = `${path}.${Bun.randomUUIDv7()}`
  await mkdir(dirname(path), { recursive: true })
  await Bun.write(unfinished, wanted)
  await chmod(unfinished, 0o755)
  await rename(unfinished, path)
}

/** Is it what {@link writeOnce} was writing when the process was killed? */
export function isUnfinished(file: string): boolean {
  return isUuid(file.slice(file.lastIndexOf(".") + 1))
}
