import type { DriverDescription } from "../model/driver.ts"
import type { Fault } from "../model/fault.ts"
import { type DriverFile, fingerprint, listDriverFiles, unmarkedScripts } from "./driver-files.ts"
import type { DriverLoader, LoadedFile } from "./driver-loader.ts"

/** Which driver serves each name, and what is wrong with those that do not. */
export interface Catalogue {
  find(name: string): DriverDescription | undefined
  /** Ordered by name. */
  list(): readonly DriverDescription[]
  faults(): readonly Fault[]
  /** The files outside of the folder that drivers import, those in a `node_modules` left out. */
  outsideInputs(): readonly string[]
  /** Brings it in step with the folder. Answers whether anything it says is different now. One call at a time. */
  rescan(): Promise<boolean>
}

interface Entry {
  readonly loaded: LoadedFile
  /** The last good version of the file, which serves while the newest one has faults. */
  readonly good: DriverDescription | undefined
}

/** A catalogue of what is in `folder`, over the drivers that come with Conveyor. */
export function createCatalogue({
  folder,
  shipped,
  loader,
}: {
  readonly folder: string
  readonly shipped: readonly DriverDescription[]
  readonly loader: DriverLoader
}): Catalogue {
  let entries: ReadonlyMap<string, Entry> = new Map()
  let serving = new Map(shipped.map((driver) => [driver.name, driver]))
  let faults: readonly Fault[] = []

  async function refresh(file: DriverFile): Promise<readonly [string, Entry]> {
    const known = entries.get(file.file)
    if (
      known?.loaded.print !== undefined &&
      (await fingerprint(known.loaded.inputs)) === known.loaded.print
    ) {
      return [file.file, known]
    }
    const loaded = await loader.load(file)
    return [file.file, { loaded, good: loaded.driver ?? known?.good }]
  }

  /** Who served a name before goes on serving it; among newcomers the first file does. */
  function choose(found: readonly (readonly [string, Entry])[]): Fault[] {
    const incumbent = (driver: DriverDescription): boolean =>
      serving.get(driver.name)?.source === driver.source
    const drivers = found.flatMap(([, { good }]) => (good === undefined ? [] : [good]))
    const chosen = new Map<string, DriverDescription>()
    const repeated: Fault[] = []
    for (const driver of [...drivers.filter(incumbent), ...drivers.filter((driver) => !incumbent(driver))]) {
      const holder = chosen.get(driver.name)
      if (holder === undefined) chosen.set(driver.name, driver)
      else {
        const message = `The name "${driver.name}" is already used by ${holder.source}, which goes on serving`
        repeated.push({ message, file: driver.source })
      }
    }
    serving = new Map([...shipped.map((driver) => [driver.name, driver] as const), ...chosen])
    return repeated
  }

  return {
    find: (name) => serving.get(name),
    list: () => [...serving.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    faults: () => faults,
    outsideInputs: () =>
      [...entries.values()]
        .flatMap(({ loaded }) => loaded.inputs)
        .filter((input) => !input.startsWith(`${folder}/`) && !input.includes("/node_modules/")),
    async rescan() {
      const before = JSON.stringify([[...serving.values()], faults])
      const found = await Promise.all((await listDriverFiles(folder)).map(refresh))
      const unmarked = await unmarkedScripts(folder)
      entries = new Map(found)
      const repeated = choose(found)
      const broken = found.flatMap(([, { loaded }]) => loaded.faults)
      faults = [...broken, ...repeated, ...unmarked]
      return JSON.stringify([[...serving.values()], faults]) !== before
    },
  }
}
