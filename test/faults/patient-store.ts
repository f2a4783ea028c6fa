import { ConveyorError } from "../../src/errors.ts"
import type { Store } from "../../src/store/store.ts"

const retryMs = 20

/** The store for a witness, who can wait until it answers again. */
export function patient(store: Store): Pick<Store, "get" | "watch"> {
  return {
    watch: (...given) => store.watch(...given),
    get: async (key) => {
      for (;;) {
        try {
          return await store.get(key)
        } catch (error) {
          if (!(error instanceof ConveyorError && error.code === "STORE_UNAVAILABLE")) throw error
          await Bun.sleep(retryMs)
        }
      }
    },
  }
}
