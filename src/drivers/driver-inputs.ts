import type { JsonObject } from "../model/json.ts"
import { type DriverFile, listDriverFiles } from "./driver-files.ts"
import { shippedSchemas } from "./shipped.ts"

/** What a driver takes, and whether it is sure that a host with this drivers folder has this driver under the name. */
export interface KnownInput {
  readonly name: string
  readonly inputSchema: JsonObject
  readonly isCertain: boolean
}

/**
 * The inputs of drivers as far as they are known without running code of the folder: those of the shipped drivers whose
 * names no file of the folder has. What a module there names itself is in its text alone, so a text that may hold the name
 * of a shipped driver makes that one uncertain.
 */
export async function driverInputs(folder: string): Promise<readonly KnownInput[]> {
  const [schemas, files] = await Promise.all([shippedSchemas(), listDriverFiles(folder)])
  const taken = new Set(files.map(({ name }) => name))
  const modules = await Promise.all(files.filter(({ type }) => type === "module").map(textOf))
  return [...schemas].flatMap(([name, { inputSchema }]) =>
    inputSchema === undefined || taken.has(name)
      ? []
      : [{ name, inputSchema, isCertain: modules.every((text) => !mayBeNamed(text, name)) }],
  )
}

/** A module that holds no driver itself may pass on one of any name. */
function mayBeNamed(text: string, name: string): boolean {
  return !/reconcile/i.test(text) || ['"', "'", "`"].some((quote) => text.includes(quote + name + quote))
}

/** Empty for one that cannot be read. */
function textOf({ path }: DriverFile): Promise<string> {
  return Bun.file(path)
    .text()
    .catch(() => "")
}
