import { existsSync } from "node:fs"
import { cp, mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"

/*
 * `bun run demo`: Conveyor builds itself. It installs the dependencies and then is `conveyor run` of
 * pipelines/conveyor.yaml on a local host, with this repository as the input. It imports nothing from npm, because
 * when it starts nothing may be installed.
 */

const root = resolve(import.meta.dir, "..")
/** Not part of the source, and large. */
const leftOut = new Set(["node_modules", "dist", ".conveyor"])

if (Bun.which("git") === null) fail("the demo clones this repository, so it needs git")
if ((await spawn([process.execPath, "install", "--frozen-lockfile"])) !== 0) fail("bun install failed")

const folder = await mkdtemp(join(tmpdir(), "conveyor-demo-"))
const repo = existsSync(join(root, ".git")) ? root : await makeRepository(join(folder, "source"))
const run = ["run", "conveyor", "--data", join(folder, "data"), "--pipelines", join(root, "pipelines")]
const spec = { repo: pathToFileURL(repo).href, bun: process.execPath }
const set = Object.entries(spec).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`])
process.exitCode = await spawn([process.execPath, join(root, "src/main.ts"), ...run, ...set])

/** A source archive has no history: its files become a repository of one commit. */
async function makeRepository(target: string): Promise<string> {
  await cp(root, target, { recursive: true, filter: (source) => !leftOut.has(basename(source)) })
  const author = ["-c", "user.name=Conveyor", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]
  const steps = [
    ["init", "--quiet"],
    ["add", "--all"],
    [...author, "commit", "--quiet", "--no-verify", "--message", "The source archive"],
  ]
  for (const step of steps) {
    if ((await spawn(["git", "-C", target, ...step])) !== 0) fail(`git ${step.join(" ")} failed`)
  }
  return target
}

/** Runs a command with our input and output, passes a SIGTERM on to it, and answers its exit code. */
async function spawn(command: string[]): Promise<number> {
  const child = Bun.spawn(command, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  const pass = () => child.kill("SIGTERM")
  // A terminal sends its SIGINT to the child as well: it decides, and we wait for it.
  const wait = () => {}
  process.on("SIGTERM", pass).on("SIGINT", wait)
  const exit = await child.exited
  process.off("SIGTERM", pass).off("SIGINT", wait)
  return exit
}

function fail(message: string): never {
  console.error(`demo: ${message}`)
  process.exit(1)
}
