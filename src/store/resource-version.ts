import type { Resource } from "../model/resource.ts"
import { resourceKey, resourceVersionKey } from "./keys.ts"
import type { Entry, Store } from "./store.ts"

/** One version of a resource. */
export interface ResourceVersion {
  readonly type: string
  readonly name: string
  readonly version: number
}

/**
 * The entry of a version: the newest one stands under the resource's name, every earlier one under its number. Undefined
 * when the store does not hold it.
 */
export async function findVersion(
  store: Pick<Store, "get">,
  { type, name, version }: ResourceVersion,
): Promise<{ readonly entry: Entry; readonly resource: Resource } | undefined> {
  for (const key of [resourceKey(type, name), resourceVersionKey(type, name, version)]) {
    const entry = await store.get(key)
    const resource = entry === undefined ? undefined : (JSON.parse(entry.value) as Resource)
    if (entry !== undefined && resource?.version === version) return { entry, resource }
  }
  return undefined
}
