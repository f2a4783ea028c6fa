import { join } from "node:path"
import type { DriverSchemas } from "../model/driver.ts"
import { bundleDriver } from "./bundle.ts"
import { readModule } from "./loaded-module.ts"
import { describeSchemas } from "./schema-description.ts"

/*
 * What comes with Conveyor: the drivers in `drivers/` of this repository, the SDK's text, and the worker's entry.
 * From source they are read from the repository. In the executable there is no repository, so the build puts
 * the text that `shippedModule` makes in the place of this module.
 */

/** A driver that comes with Conveyor, as a ready bundle. */
export interface ShippedDriver {
  readonly name: string
  /** SHA-256 of the text, in hex. */
  readonly hash: string
  readonly text: string
  readonly schemas: DriverSchemas
}

/** All that comes with Conveyor for drivers. */
export interface Shipped {
  /** The source of the module `conveyor` that drivers import. */
  readonly sdk: string
  /** Ordered by name. None listens for a kind: they act only where a pipeline names them. */
  readonly drivers: readonly ShippedDriver[]
}

/** What a worker thread runs. */
export const workerEntry = new URL("./worker.ts", import.meta.url)

const repositoryDrivers = join(import.meta.dir, "../../drivers")
let shipped: Promise<Shipped> | undefined

/** The names of the drivers that are shipped, without bundling any. Ordered. */
export async function shippedNames(): Promise<readonly string[]> {
  return shippedFiles().map(nameOf)
}

/** What the drivers that are shipped take and give, by their names, without bundling any. */
export async function shippedSchemas(): Promise<ReadonlyMap<string, DriverSchemas>> {
  return new Map(
    await Promise.all(shippedFiles().map(async (file) => [nameOf(file), await schemasOf(file)] as const)),
  )
}

/** What is shipped. Bundled once per process when run from source. */
export function shippedDrivers(): Promise<Shipped> {
  shipped ??= bundleShipped()
  return shipped
}

/** The text of the module that stands for this one in the executable. For the build. */
export async function shippedModule(): Promise<string> {
  return [
    // Relative to the executable's main module; the worker is built as an entry of its own.
    'export const workerEntry = new URL("./drivers/worker.js", import.meta.url)',
    `const shipped = ${JSON.stringify(await shippedDrivers())}`,
    "export const shippedDrivers = async () => shipped",
    "export const shippedNames = async () => shipped.drivers.map(({ name }) => name)",
    "export const shippedSchemas = async () => new Map(shipped.drivers.map(({ name, schemas }) => [name, schemas]))",
  ].join("\n")
}

async function bundleShipped(): Promise<Shipped> {
  const sdk = await Bun.file(join(import.meta.dir, "sdk.ts")).text()
  const drivers = await Promise.all(
    shippedFiles().map(async (file): Promise<ShippedDriver> => {
      const bundle = await bundleDriver(join(repositoryDrivers, file), {
        folder: repositoryDrivers,
        sdk,
        sourceMap: false,
      })
      if ("faults" in bundle)
        throw new Error(`A shipped driver must bundle: ${JSON.stringify(bundle.faults)}`)
      return { name: nameOf(file), hash: bundle.hash, text: bundle.text, schemas: await schemasOf(file) }
    }),
  )
  return { sdk, drivers }
}

async function schemasOf(file: string): Promise<DriverSchemas> {
  const module = readModule(await import(join(repositoryDrivers, file)))
  if (typeof module === "string") throw new Error(`A shipped driver must be one: ${module}`)
  return describeSchemas(module)
}

function shippedFiles(): readonly string[] {
  return [...new Bun.Glob("*.ts").scanSync(repositoryDrivers)].sort()
}

function nameOf(file: string): string {
  return file.replace(/\.ts$/, "")
}
