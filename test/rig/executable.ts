import { join, resolve } from "node:path"
import { tempFolder } from "./temp-folder.ts"
import { until } from "./until.ts"

const root = resolve(import.meta.dir, "../..")
/** A machine with nothing on it: neither Bun nor Node is needed, and no setting leaks in. */
const bareEnv = { PATH: "/usr/bin:/bin" }

/** The executable under test: the one that `CONVEYOR_EXECUTABLE` names, else one built now. */
export async function buildExecutable(): Promise<AsyncDisposable & { readonly path: string }> {
  const given = process.env["CONVEYOR_EXECUTABLE"]
  if (given) return { path: given, [Symbol.asyncDispose]: async () => {} }
  const folder = await tempFolder()
  const path = join(folder.path, "conveyor")
  const build = Bun.spawn([process.execPath, join(root, "src/build.ts"), "--outfile", path], {
    stderr: "pipe",
  })
  if ((await build.exited) !== 0)
    throw new Error(`The executable was not built: ${await build.stderr.text()}`)
  return { path, [Symbol.asyncDispose]: folder[Symbol.asyncDispose] }
}

interface Surroundings {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a command to its end in a folder, with a bare environment and `env`. */
export async function runToEnd(command: readonly string[], { cwd, env = {} }: Surroundings) {
  const child = Bun.spawn([...command], { cwd, env: { ...bareEnv, ...env }, stdout: "pipe", stderr: "pipe" })
  const [stdout, stderr, exit] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { stdout, stderr, exit }
}

/** A process that goes on, with what it has printed so far. It is killed when its scope ends. */
export interface Running extends AsyncDisposable {
  readonly pid: number
  readonly exited: Promise<number>
  /** Waits until it has printed something that matches, and answers the match. */
  printed(pattern: RegExp): Promise<RegExpMatchArray>
  /** All it has printed so far. */
  output(): string
  kill(signal: NodeJS.Signals): void
}

/** Starts a command in a folder, with a bare environment and `env`. */
export function start(command: readonly string[], { cwd, env = {} }: Surroundings): Running {
  const child = Bun.spawn([...command], { cwd, env: { ...bareEnv, ...env }, stdout: "pipe", stderr: "pipe" })
  let output = ""
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    for await (const chunk of stream) output += decoder.decode(chunk, { stream: true })
  }
  const collected = Promise.all([collect(child.stdout), collect(child.stderr)])
  return {
    pid: child.pid,
    output: () => output,
    exited: child.exited,
    printed: (pattern) =>
      until(`${command.join(" ")} prints ${pattern}; it printed:\n${output}`, () => {
        const match = output.match(pattern)
        if (match === null && child.exitCode !== null) {
          throw new Error(
            `It ended with ${child.exitCode} without printing ${pattern}; it printed:\n${output}`,
          )
        }
        return match ?? undefined
      }),
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL")
      await child.exited
      await collected
    },
  }
}
