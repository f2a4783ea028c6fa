/**
 * Runs a script or a list of commands in the run's workspace, its output going to the log.
 *
 *   with:
 *     run: |                 # a script for `sh -eu`: it stops at the first command that fails
 *       make
 *       make install
 *     commands:              # or a list; a text is a script of its own, a list is a command without a shell
 *       - make
 *       - [cp, "a file", dist]
 *     env: { CC: clang }     # added to the host's environment
 *     cwd: sub/folder        # relative to the workspace
 *     shell: bash            # instead of sh; or a list, [python3, -c], to which the script is added
 *
 * `run` and `commands` may also stand in the resource's spec, for a step that names neither. Data:
 * `{ exitCode, stdout, stderr }`, where the outputs are the last 64 KiB of all commands together (the log has all of it),
 * and the exit code is that of the last command that ran. An exit code other than 0 is a failure.
 */
import { defineDriver } from "conveyor"
import * as v from "valibot"

const commandSchema = v.union(
  [v.string(), v.pipe(v.array(v.string()), v.minLength(1))],
  "Expected a script, or a command as a list of strings",
)
const entries = {
  run: v.optional(
    v.pipe(
      v.string("Expected a script"),
      v.description("A script for `sh -eu`: it stops at the first command that fails"),
    ),
  ),
  commands: v.optional(
    v.pipe(
      v.array(commandSchema, "Expected a list of commands"),
      v.description(
        "Scripts, each for a shell of its own, or commands without a shell: `[cp, 'a file', dist]`",
      ),
    ),
  ),
}
const inputSchema = v.strictObject(
  {
    ...entries,
    env: v.optional(
      v.pipe(
        v.record(v.string(), v.union([v.string(), v.number(), v.boolean()])),
        v.description("Variables, over the step's and the host's"),
      ),
    ),
    cwd: v.optional(v.pipe(v.string(), v.description("Where to run, relative to the workspace"))),
    shell: v.optional(
      v.pipe(
        commandSchema,
        v.description(
          "What is called with `-eu -c` and a script; a list such as `[python3, -c]` gets the script only",
        ),
      ),
      "sh",
    ),
  },
  (issue) =>
    issue.expected === "never"
      ? "There is no such input; there are run, commands, env, cwd, shell"
      : issue.message,
)
const outputSchema = v.object({
  exitCode: v.pipe(v.number(), v.description("Of the last command that ran")),
  stdout: v.pipe(v.string(), v.description("The last 64 KiB of all commands together")),
  stderr: v.pipe(v.string(), v.description("The last 64 KiB of all commands together")),
})
/** A result holds a megabyte of JSON, where one character may become six. */
const outputLengthMax = 64 * 1024

export default defineDriver({
  input: inputSchema,
  output: outputSchema,
  readsResults: false,
  async reconcile(ctx) {
    const { env = {}, cwd = ".", shell } = ctx.input
    const source = sourceOf(ctx.input, ctx.resource.spec)
    const commands = [...(source.run === undefined ? [] : [source.run]), ...(source.commands ?? [])]
    if (commands.length === 0) {
      return { success: false, message: "There is nothing to run: expected `run` or `commands`" }
    }
    const texts = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, String(value)]))
    const data = { exitCode: 0, stdout: "", stderr: "" }
    for (const command of commands) {
      const argv = typeof command === "string" ? [...shellCommand(shell), command] : command
      const [first = "sh", ...rest] = argv
      const { exitCode, stdout, stderr } = await ctx.exec([first, ...rest], {
        cwd,
        env: texts,
        allowFailure: true,
      })
      data.exitCode = exitCode
      data.stdout = (data.stdout + stdout).slice(-outputLengthMax)
      data.stderr = (data.stderr + stderr).slice(-outputLengthMax)
      if (exitCode !== 0) {
        return { success: false, message: `${titleOf(command)} ended with exit code ${exitCode}`, data }
      }
    }
    return { success: true, message: commands.map(titleOf).join(", ").slice(0, 200), data }
  },
})

type Source = Pick<v.InferOutput<typeof inputSchema>, "run" | "commands">

function sourceOf(input: Source, spec: unknown): Source {
  if (input.run !== undefined || input.commands !== undefined) return input
  const found = v.safeParse(v.object(entries), spec)
  return found.success ? found.output : {}
}

function shellCommand(shell: string | readonly string[]): readonly string[] {
  return typeof shell === "string" ? [shell, "-eu", "-c"] : shell
}

/** A command as one short line. */
function titleOf(command: string | readonly string[]): string {
  const text = typeof command === "string" ? command.trim() : command.join(" ")
  const [line = ""] = text.split("\n", 1)
  return line.length < text.length || line.length > 80 ? `"${line.slice(0, 80)} …"` : `"${line}"`
}
