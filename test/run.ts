/*
 * `bun run test`: everything the tests need, then the tests, with the arguments given. It imports nothing that is to
 * be installed, so that it works in a fresh clone.
 */
import { rm } from "node:fs/promises"
import { join } from "node:path"

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

/** Installs etcd from the system's packages where there is none: the tests of the store run a real one. */
async function installEtcd(): Promise<void> {
  if (findEtcd() !== null) return
  say("There is no etcd in PATH or /usr/bin: installing etcd-server from the system's packages")
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"]
  const aptGet = [...asRoot, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
  const updated = await run([...aptGet, "update"])
  const installed = updated === 0 ? await run([...aptGet, "install", "-y", "etcd-server"]) : updated
  if (installed === 0 && findEtcd() !== null) return
  say("etcd could not be installed. Put an etcd of version 3.4 or newer into PATH; until then its tests fail")
}

function findEtcd(): string | null {
  return Bun.which("etcd") ?? Bun.which("etcd", { PATH: "/usr/bin:/usr/local/bin" })
}

await installDependencies()
await installEtcd()
process.exit(await run([process.execPath, "test", "--timeout", String(testMsMax), ...process.argv.slice(2)]))
