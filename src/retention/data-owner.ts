import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Store } from "../store/store.ts"
import { storeIdOf } from "../store/store-id.ts"

/**
 * Do the files in the data folder belong to runs of this store? A host may be started on its data folder with another
 * store, which knows nothing of these runs. The folder is the first store's that it is used with.
 */
export async function isOfStore(data: string, store: Store): Promise<boolean> {
  const file = join(data, "store-id")
  const storeId = await storeIdOf(store)
  const known = await readFile(file, "utf8").catch(() => undefined)
  if (known === undefined) await Bun.write(file, `${storeId}\n`)
  return known === undefined || known.trim() === storeId
}
