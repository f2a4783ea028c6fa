import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import type { BunPlugin } from "bun"

/**
 * etcd3 reads `rpc.proto` from its package folder when it is imported, and an executable has no such folder. This
 * plugin reads it at build time and puts what it says in the place of the reading. It fails the build when etcd3 no
 * longer does it this way.
 */
export function embedEtcdProto(): BunPlugin {
  return {
    name: "embed-etcd-proto",
    setup(build) {
      build.onLoad({ filter: /[\\/]etcd3[\\/]lib[\\/]connection-pool\.js$/ }, async ({ path }) => {
        const source = await Bun.file(path).text()
        const reading = /loadSync\)\(`\$\{__dirname\}\/\.\.\/proto\/rpc\.proto`/
        if (!reading.test(source))
          throw new Error("etcd3 must read rpc.proto with loadSync for it to be embedded")
        const descriptor = readProto(join(dirname(path), "../proto/rpc.proto"), path)
        return { contents: source.replace(reading, () => `fromJSON)(${descriptor}`), loader: "js" }
      })
    },
  }
}

/** The protocol as JSON text. protobufjs is taken from where etcd3's own loader takes it, so that both agree. */
function readProto(file: string, importer: string): string {
  const loader = createRequire(importer).resolve("@grpc/proto-loader")
  const protobuf = createRequire(loader)("protobufjs") as {
    Root: new () => { loadSync(file: string, options: { keepCase: boolean }): { toJSON(): unknown } }
  }
  // etcd3 asks for the names as they are written, and here, not in fromJSON, is where that is decided.
  return JSON.stringify(new protobuf.Root().loadSync(file, { keepCase: true }).toJSON())
}
