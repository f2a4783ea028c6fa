import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { writeDurably } from "../files/write-durably.ts"
import type { Store } from "../store/store.ts"
import { storeIdOf } from "../store/store-id.ts"

/**
 * Do the files in the data folder belong to runs of this store? A host may be started on its data folder with another
 * store, which knows nothing of these runs. The folder is the first store's that it is used with.
 */
export async function isOfStore(data: string, store: Store): Promise<boolean> {
  const file = join(data, "store-id")
  const storeId = await storeIdOf(store)
  const known = (await readFile(file, "utf8").catch(() => "")).trim()
  if (known !== "") return known === storeId
  // With half an id after a power cut it would be the folder of no store.
  await writeDurably(file, `${storeId}\n`)
  return true
}
