import { mkdir } from "node:fs/promises"
import { dirname } from "node:path"
import type { StoreConfig } from "../config.ts"
import { openSqlite } from "./sqlite.ts"
import type { Store } from "./store.ts"

const ballastBytes = 8 * 1024 * 1024

/**
 * Opens the store that the configuration names, and makes the folder of its file where there is none. `onWarning` is
 * told, in a sentence each, what works now and should not be relied on.
 */
export async function openStore(
  config: StoreConfig,
  options: { readonly onWarning?: (warning: string) => void } = {},
): Promise<Store> {
  switch (config.type) {
    case "sqlite":
      await mkdir(dirname(config.file), { recursive: true })
      return openSqlite(config.file, { ballastBytes, ...options })
    case "memory":
      return openSqlite(":memory:")
    case "etcd": {
      // Loaded only now: its client is large, and a host with an embedded store starts without it.
      const { openEtcd } = await import("./etcd.ts")
      return openEtcd({ endpoints: config.endpoints, prefix: config.prefix, ...options })
    }
    default:
      return config satisfies never
  }
}
