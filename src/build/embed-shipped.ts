import type { BunPlugin } from "bun"
import { shippedModule } from "../drivers/shipped.ts"

/** Puts the drivers that come with Conveyor, bundled now, in the place of the module that reads them from source. */
export function embedShipped(): BunPlugin {
  return {
    name: "embed-shipped",
    setup(build) {
      build.onLoad({ filter: /[\\/]src[\\/]drivers[\\/]shipped\.ts$/ }, async () => ({
        contents: await shippedModule(),
        loader: "js",
      }))
    },
  }
}
