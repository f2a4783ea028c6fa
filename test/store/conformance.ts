import { test } from "bun:test"
import type { Store } from "../../src/store/store.ts"
import { commitsConform } from "./conformance-commits.ts"
import { leasesConform } from "./conformance-leases.ts"
import { listsConform } from "./conformance-lists.ts"
import { watchesConform } from "./conformance-watches.ts"

/** What one test gets of a backend: data of its own, that goes with its scope. */
export interface Backend extends AsyncDisposable {
  /** Opens the store of this backend. Again, when the last one is closed: then it has its data. */
  open(): Promise<Store>
  /** Makes the store forget the history before its present revision. */
  compact(store: Store): Promise<void>
  /** The shortest time to live that the backend keeps to. */
  readonly ttlMs: number
}

/** Defines a test that runs with a new store of the backend. */
export type StoreTest = (sentence: string, body: (store: Store, backend: Backend) => Promise<void>) => void

const testMsMax = 60_000

/**
 * Defines the tests that every backend of the store must pass. Whoever passes them can stand behind the engine.
 * `keepsData`: what it held is there when it is opened again.
 */
export function storeConforms(start: () => Promise<Backend>, { keepsData }: { keepsData: boolean }): void {
  const storeTest: StoreTest = (sentence, body) =>
    test(
      sentence,
      async () => {
        await using backend = await start()
        await using store = await backend.open()
        await body(store, backend)
      },
      testMsMax,
    )
  commitsConform(storeTest, { keepsData })
  listsConform(storeTest)
  watchesConform(storeTest, { keepsData })
  leasesConform(storeTest)
}
