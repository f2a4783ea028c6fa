import { existsSync, mkdirSync } from "node:fs"
import { resolve } from "node:path"
import { messageOf } from "../errors.ts"
import type { AttemptLog } from "./attempt-log.ts"
import { type Child, type ChildOptions, startChild } from "./child.ts"
import { askToEnd, endProcesses, killNow } from "./end-processes.ts"
import { childEnvironment, findProcesses } from "./process-marks.ts"
import type { ExecAnswer } from "./protocol.ts"
import type { ExecOptions } from "./sdk.ts"

/** Process ids start over after 32,768 on many machines; this is too short for that. */
const pidsInOrderMs = 2_000

/** The child processes of one attempt. */
export interface AttemptProcesses {
  /** Runs a command to its end, its output going to the log. Never rejects. */
  exec(command: readonly string[], options: ExecOptions): Promise<ExecAnswer>
  /** Starts a command in the attempt's workspace. Throws when it cannot be started. */
  start(command: readonly string[], options: Omit<ChildOptions, "cwd" | "env"> & ExecOptions): Child
  /** Asks everything that runs to end, and refuses to start more. */
  terminate(): void
  /** Ends everything that runs now, without asking. */
  kill(): void
  /**
   * Ends everything the attempt started, wherever it went: SIGTERM, then SIGKILL at `deadline` (of
   * `performance.now()`). Resolves when all is gone and what it printed was logged. Costs nothing when nothing was started.
   */
  end(deadline: () => number): Promise<void>
}

/** Makes an attempt's hold on its processes. Nothing is started yet. */
export function createAttemptProcesses({
  token,
  data,
  workspace,
  variables,
  log,
}: {
  readonly token: string
  readonly data: string
  readonly workspace: string
  /** Over the host's own, and under those of a command. */
  readonly variables: { readonly [name: string]: string }
  readonly log: AttemptLog
}): AttemptProcesses {
  const children = new Set<Child>()
  const groups = new Set<number>()
  let first: { readonly pid: number; readonly at: number } | undefined
  let ending = false

  function start(
    command: readonly string[],
    { cwd = ".", env, ...streams }: Omit<ChildOptions, "cwd" | "env"> & ExecOptions,
  ): Child {
    if (ending) throw new Error("the attempt is ending")
    mkdirSync(workspace, { recursive: true })
    const folder = resolve(workspace, cwd)
    // Without this look the system's answer is that the command does not exist.
    if (!existsSync(folder)) throw new Error(`there is no folder ${folder}`)
    const environment = childEnvironment({ token, data, extra: { ...variables, ...env } })
    const child = startChild(command, { ...streams, cwd: folder, env: environment })
    first ??= { pid: child.pid, at: performance.now() }
    children.add(child)
    groups.add(child.pid)
    void child.exited.then(() => {
      if (!groupLives(child.pid)) groups.delete(child.pid)
    })
    return child
  }

  async function exec(command: readonly string[], options: ExecOptions): Promise<ExecAnswer> {
    const quiet = options.quiet === true
    try {
      const child = start(command, {
        ...options,
        onStdout: quiet ? undefined : (messages) => log.write("stdout", messages),
        onStderr: quiet ? undefined : (messages) => log.write("stderr", messages),
      })
      const exitCode = await child.exited
      await child.quiet
      const answer = { type: "exited", exitCode, stdout: child.stdout(), stderr: child.stderr() } as const
      if (child.isDrained()) children.delete(child)
      return answer
    } catch (error) {
      return { type: "refused", message: `Cannot run "${command.join(" ")}": ${messageOf(error)}` }
    }
  }

  function survivors(): number[] {
    if (first === undefined) return []
    if (process.platform !== "linux") return [...groups].filter(groupLives).map((group) => -group)
    const recent = performance.now() - first.at < pidsInOrderMs
    return findProcesses({ type: "attempt", token, groups }, recent ? first.pid : undefined)
  }

  return {
    exec,
    start,
    terminate() {
      ending = true
      for (const pid of survivors()) askToEnd(pid)
    },
    kill() {
      ending = true
      for (const pid of survivors()) killNow(pid)
    },
    async end(deadline) {
      ending = true
      if (first === undefined) return
      const immortal = await endProcesses(survivors, { deadline })
      if (immortal.length > 0) {
        await log.write("engine", [`Processes that cannot be killed: ${immortal.join(", ")}`])
      }
      await Promise.all([...children].map((child) => child.close()))
    },
  }
}

function groupLives(group: number): boolean {
  try {
    process.kill(-group, 0)
    return true
  } catch {
    return false
  }
}
