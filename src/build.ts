import { dirname, join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { compile } from "./build/compile.ts"
import { embedShipped } from "./build/embed-shipped.ts"
import { embedEtcdProto } from "./build/etcd-proto.ts"

/* Makes the executable: `bun run build [--outfile FILE]`, by default dist/conveyor. */

const root = resolve(import.meta.dir, "..")
const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { outfile: { type: "string", default: join(root, "dist/conveyor") } },
})

const built = await compile({
  root,
  outfile: resolve(values.outfile),
  commit: await currentCommit(),
  plugins: [embedEtcdProto(), await embedShipped()],
})
console.log(`${built.path}  ${(built.bytes / 1e6).toFixed(1)} MB\nSHA-256 ${built.sha256}`)

/** The commit that is checked out, short; empty where there is no git or no repository. */
async function currentCommit(): Promise<string> {
  const git = Bun.which("git")
  if (git === null) return ""
  const child = Bun.spawn([git, "-C", root, "rev-parse", "--short=12", "HEAD"], {
    // A source archive unpacked inside another repository is not at that repository's commit.
    env: { ...process.env, GIT_CEILING_DIRECTORIES: dirname(root) },
    stderr: "ignore",
  })
  const commit = (await child.stdout.text()).trim()
  return (await child.exited) === 0 ? commit : ""
}
