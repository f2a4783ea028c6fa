import type { BunPlugin } from "bun"
import { shippedModule } from "../drivers/shipped.ts"

/**
 * Puts the drivers that come with Conveyor, bundled now, in the place of the module that reads them from source. They
 * are bundled before the build begins: a build that waits in its plugin for another build waits for ever.
 */
export async function embedShipped(): Promise<BunPlugin> {
  const contents = await shippedModule()
  return {
    name: "embed-shipped",
    setup(build) {
      build.onLoad({ filter: /[\\/]src[\\/]drivers[\\/]shipped\.ts$/ }, () => ({ contents, loader: "js" }))
    },
  }
}
