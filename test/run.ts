/*
 * `bun run test`: everything the tests need, then the tests, with the arguments given. It imports nothing that is to
 * be installed, so that it works in a fresh clone.
 */
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { mayMount } from "./rig/own-mounts.ts"
import { findFaketime } from "./rig/settable-clock.ts"

const root = join(import.meta.dir, "..")

/** A ceiling for a test that hangs, not a measure of speed: machines that build things are busy. */
const testMsMax = 60_000

const say = (line: string) => process.stderr.write(`${line}\n`)

/** Runs a program with this terminal and answers its exit code; 127 when there is no such program. */
async function run(command: readonly string[]): Promise<number> {
  try {
    const child = Bun.spawn([...command], { cwd: root, stdio: ["inherit", "inherit", "inherit"] })
    return await child.exited
  } catch {
    return 127
  }
}

/** Installs the dependencies, unless the last ones installed here were those of this lockfile. */
async function installDependencies(): Promise<void> {
  const stamp = Bun.file(join(root, "node_modules", ".lockfile-hash"))
  const hash = Bun.hash(await Bun.file(join(root, "bun.lock")).bytes()).toString(16)
  if ((await stamp.exists()) && (await stamp.text()) === hash) return
  say("Installing the dependencies of bun.lock")
  await rm(join(root, "node_modules", ".lockfile-hash"), { force: true })
  const code = await run([process.execPath, "install", "--frozen-lockfile"])
  if (code !== 0) {
    say(`The dependencies could not be installed: bun install ended with ${code}`)
    process.exit(code)
  }
  await Bun.write(stamp, hash)
}

/** Installs one of the system's packages where what is in it is missing: the tests use the real thing. */
async function installPackage(
  name: string,
  { isThere, missing }: { readonly isThere: () => boolean; readonly missing: string },
): Promise<void> {
  if (isThere()) return
  say(`${missing}: installing ${name} from the system's packages`)
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"]
  const aptGet = [...asRoot, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
  const updated = await run([...aptGet, "update"])
  const installed = updated === 0 ? await run([...aptGet, "install", "-y", name]) : updated
  if (installed !== 0 || !isThere()) say(`${name} could not be installed; until it is there, its tests fail`)
}

await installDependencies()
await installPackage("etcd-server", {
  missing: "There is no etcd in PATH or /usr/bin (version 3.4 or newer)",
  isThere: () =>
    Bun.which("etcd") !== null || Bun.which("etcd", { PATH: "/usr/bin:/usr/local/bin" }) !== null,
})
await installPackage("faketime", {
  missing: "There is no libfaketime, which sets the clock of a single process",
  isThere: () => findFaketime() !== undefined,
})
for (const [command, name] of [
  ["git", "git"],
  ["openssl", "openssl"],
  ["npm", "npm"],
] as const) {
  const isThere = () => Bun.which(command) !== null
  await installPackage(name, { missing: `There is no ${command}, which workflows are played with`, isThere })
}
if (!mayMount) say("This machine lets nobody mount a disk: the tests of full and read-only disks are skipped")
process.exit(await run([process.execPath, "test", "--timeout", String(testMsMax), ...process.argv.slice(2)]))
