import { listDriverFiles } from "./driver-files.ts"
import { shippedNames } from "./shipped.ts"

/**
 * The names of the drivers a host with this drivers folder would have, as far as that can be told without running any:
 * the shipped ones, and the files by their names. A driver that names itself otherwise is not among them. Sorted.
 */
export async function driverNames(folder: string): Promise<readonly string[]> {
  const files = await listDriverFiles(folder)
  return [...new Set([...(await shippedNames()), ...files.map(({ name }) => name)])].sort()
}
