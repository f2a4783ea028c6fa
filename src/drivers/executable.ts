import { messageOf } from "../errors.ts"
import { type AttemptResult, dataBytesMax } from "../model/driver.ts"
import { attemptContext } from "./attempt-context.ts"
import type { AttemptProcesses } from "./attempt-processes.ts"
import type { Surroundings, Work } from "./attempt-run.ts"
import type { Child } from "./child.ts"
import { failure, readPrintedResult } from "./result.ts"

/*
 * An executable file in the drivers folder is a driver, in any language. It is called once for each attempt:
 *
 *   stdin    one JSON object, then the end: { resource, event, input, metadata, results, env, run, step, attempt,
 *            token, workspace }, as a module's ctx has them
 *   stderr   log lines
 *   stdout   a driver result as JSON, { "success": true, "message": "…", "data": … }, or nothing: then it succeeds
 *            if its exit code is 0. A result with success and an exit code other than 0 is a failure. One with
 *            "retryable": false and without success is not tried again
 *   cwd      the run's workspace
 *   environment   the host's, with the step's `env` over it
 *   SIGTERM  the attempt must end; SIGKILL follows after the grace period
 *
 * A file `<name>.json` beside it may say { "resources": ["app"] }: the kinds it reconciles without a pipeline.
 * What runs is a copy of the file, so that an attempt runs the content its hash names; CONVEYOR_DRIVER_FILE says where the
 * original is, for those who need a file beside it.
 */

/** A result may be printed with the largest data there may be, with spaces in it and a message beside it. */
const printedBytesMax = 2 * dataBytesMax

/** Runs an attempt as a process of this executable. */
export function startExecutableWork(
  { file, original }: { readonly file: string; readonly original: string },
  { attempt, log, processes }: Surroundings,
): Work {
  async function run(): Promise<AttemptResult> {
    if (attempt.probing === true) return failure("An executable has no probe")
    try {
      const child = await startWhenWritten(processes, [file], {
        stdin: JSON.stringify(attemptContext(attempt)),
        env: { CONVEYOR_DRIVER_FILE: original },
        stdoutBytesMax: printedBytesMax,
        onStderr: (messages) => log.write("log", messages),
      })
      const exitCode = await child.exited
      await child.quiet
      if (child.stdoutBytes() > printedBytesMax) {
        return failure(`The driver printed more than ${printedBytesMax} bytes on its standard output`)
      }
      return readOutcome(child.stdout(), exitCode)
    } catch (error) {
      return failure(`The executable cannot be started: ${reasonOf(error)}`)
    }
  }

  // Its processes are ended by the attempt, and that ends the work.
  return { outcome: run(), abort() {}, kill: () => processes.kill() }
}

/**
 * Starts the copy, again if need be: a child that another attempt started while the copy was being written holds it
 * open for a moment, and the system refuses to run a file that is open for writing.
 */
async function startWhenWritten(
  processes: AttemptProcesses,
  command: readonly string[],
  options: Parameters<AttemptProcesses["start"]>[1],
): Promise<Child> {
  for (let tries = 1; ; tries++) {
    try {
      return processes.start(command, options)
    } catch (error) {
      if (tries === 20 || (error as { readonly code?: unknown }).code !== "ETXTBSY") throw error
      await Bun.sleep(tries)
    }
  }
}

/** The system's reason in words; its own names the copy, which nobody has written. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  if (code === "ENOEXEC") return "it is no program of this machine, and its first line does not start with #!"
  if (code === "ENOENT") return "what its #! line names is not there"
  return messageOf(error)
}

function readOutcome(stdout: string, exitCode: number): AttemptResult {
  if (exitCode !== 0 && stdout.trim() === "") {
    return failure(`The driver ended with exit code ${exitCode}`)
  }
  const result = readPrintedResult(stdout)
  if (exitCode === 0 || !result.success) return result
  return {
    ...result,
    success: false,
    message: `The driver said success and ended with exit code ${exitCode}`,
  }
}
