import { storeIdKey } from "./keys.ts"
import type { Store } from "./store.ts"

/** The id of this store, made at the first question: data folders remember by it what their files are about. */
export async function storeIdOf(store: Store): Promise<string> {
  const entry = await store.get(storeIdKey)
  if (entry !== undefined) return entry.value
  const value = Bun.randomUUIDv7()
  await store.commit([{ key: storeIdKey, modRevision: 0 }], [{ type: "put", key: storeIdKey, value }])
  return (await store.get(storeIdKey))?.value ?? value
}
