#!/usr/bin/env bun
import { Command, CommanderError } from "commander"
import { type SettingName, settings } from "./config.ts"
import { ConveyorError } from "./errors.ts"
import { describeFault } from "./model/fault.ts"
import { version } from "./version.ts"

/*
 * The CLI's door: it knows what may be typed and nothing else. Each command is imported when it is called, so that
 * `--version` does not load a store and `serve` does not load what `run` draws with.
 */

/** The exit code of a bug: `EX_SOFTWARE`. */
const bugExit = 70
const usageExit = new ConveyorError("USAGE", "").exit

// Whoever read the output may have gone, as `head` does. A host goes on; `run` listens for it and leaves.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error
})
process.exitCode = await main(process.argv.slice(2))
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
process.exit()

async function main(argv: readonly string[]): Promise<number> {
  let exit = 0
  const program = commands((code) => {
    exit = code
  })
  try {
    await program.parseAsync(argv, { from: "user" })
    return exit
  } catch (error) {
    return report(error)
  }
}

function commands(done: (exit: number) => void): Command {
  const program = new Command("conveyor")
    .description("A CI pipeline engine in one executable.")
    .version(version, "-V, --version", "print the version")
    .helpCommand("help [command]", "show what a command takes")
    .showHelpAfterError('("conveyor help" lists what there is)')
    .exitOverride()
    .configureHelp({ showGlobalOptions: false })

  const serve = program
    .command("serve")
    .alias("up")
    .description("run a host: the API, the engine, the drivers and the pipelines folder")
    .option("--config <file>", "settings file (default: ./conveyor.yml when it exists)")
    .action(async (options: Record<string, string>) => {
      const { serve } = await import("./cli/serve.ts")
      done(await serve(settingFlags(options)))
    })
  addSettings(serve, Object.keys(settings) as SettingName[])

  const run = program
    .command("run <pipeline>")
    .description("send one resource down a pipeline, follow it, and exit 0 if it succeeded, 1 if not")
    .option("--resource <file>", "YAML or JSON: the whole resource, or only its spec")
    .option("--set <key=value>", "a field of the resource's spec, such as image.tag=1 (repeatable)", collect)
    .option("--server <url>", "the host to run on (default: a local one, started and stopped for this run)")
    .option("--json", "print events as JSON, one to a line, the run at the end")
    .option(
      "--data <folder>",
      "store, logs, workspaces and large data of the local host (default: a new temporary folder, which is kept)",
    )
    .option("--config <file>", "settings file (default: ./conveyor.yml when it exists)")
    .action(async (pipeline: string, options: RunFlags) => {
      const { run } = await import("./cli/run.ts")
      const server = options.server ?? process.env["CONVEYOR_SERVER"]
      done(
        await run(pipeline, {
          set: options.set ?? [],
          json: options.json === true,
          ...(options.resource === undefined ? {} : { resource: options.resource }),
          ...(server ? { server } : {}),
          settings: settingFlags(options),
        }),
      )
    })
  addSettings(run, ["drivers", "pipelines", "env", "label", "log-level"])

  const validate = program
    .command("validate [paths...]")
    .description("check pipeline files and folders without running anything (default: the pipelines folder)")
    .option("--load-drivers", "load the drivers folder's modules, which runs them, to check their inputs too")
    .option("--json", "print the faults as JSON")
    .action(async (paths: string[], options: { json?: boolean; loadDrivers?: boolean }) => {
      const { validate } = await import("./cli/validate.ts")
      const { json = false, loadDrivers = false } = options
      done(await validate(paths, { json, loadDrivers, settings: settingFlags(options) }))
    })
  addSettings(validate, ["drivers", "pipelines"])

  const plan = program
    .command("plan <pipeline>")
    .description("say what a run would do, in which order, and what each condition comes to; runs nothing")
    .option("--resource <file>", "YAML or JSON: the whole resource, or only its spec")
    .option("--set <key=value>", "a field of the resource's spec, such as image.tag=1 (repeatable)", collect)
    .option("--event <event>", "create, update or delete (default: the first that the pipeline is for)")
    .option("--fail <step>", "a step that is taken to fail (repeatable)", collect)
    .option("--server <url>", "the host whose pipeline it is (default: the files of the pipelines folder)")
    .option("--json", "print the plan as JSON")
    .option("--config <file>", "settings file (default: ./conveyor.yml when it exists)")
    .action(async (pipeline: string, options: PlanFlags) => {
      const { plan } = await import("./cli/plan.ts")
      const { resource, event, server } = options
      done(
        await plan(pipeline, {
          set: options.set ?? [],
          fail: options.fail ?? [],
          json: options.json === true,
          ...(resource === undefined ? {} : { resource }),
          ...(event === undefined ? {} : { event }),
          ...(server === undefined ? {} : { server }),
          settings: settingFlags(options),
        }),
      )
    })
  addSettings(plan, ["drivers", "pipelines", "env"])

  program
    .command("explain <run>")
    .description("say of a run, and of each of its steps, why it is where it is (the id, or its beginning)")
    .option(
      "--server <url>",
      "the host to ask (default: the one that serves with the settings of this folder)",
    )
    .option("--json", "print the reasons as JSON")
    .option("--config <file>", "settings file (default: ./conveyor.yml when it exists)")
    .option("--host <address>", `the address that it listens on (default: ${settings.host.default})`)
    .option("--port <number>", `the port that it listens on (default: ${settings.port.default})`)
    .action(async (run: string, options: { json?: boolean; server?: string }) => {
      const { explain } = await import("./cli/explain.ts")
      const server = options.server ?? process.env["CONVEYOR_SERVER"]
      done(
        await explain(run, {
          json: options.json === true,
          ...(server ? { server } : {}),
          settings: settingFlags(options),
        }),
      )
    })
  addStoreCommands(program, done)
  nameOwnHelp(program)
  return program
}

function addStoreCommands(program: Command, done: (exit: number) => void): void {
  const store = program
    .command("store")
    .description("export, import, copy or check a store while no host runs on it")
  const add = (usage: string, description: string) => {
    const command = store
      .command(usage)
      .description(description)
      .option("--config <file>", "settings file (default: ./conveyor.yml when it exists)")
    addSettings(command, ["data", "store"])
    return command
  }
  const force = "go on while hosts run on it: what they write meanwhile is left behind"

  add("export <file>", "write all of the store to a file, gzip for .gz, - is the standard output")
    .option("--force", force)
    .action(async (file: string, options: StoreFlags) => {
      const { exportStore } = await import("./cli/store.ts")
      done(await exportStore(file, { settings: settingFlags(options), force: options.force === true }))
    })
  add("import <file>", "fill an empty store from an export, - is the standard input").action(
    async (file: string, options: StoreFlags) => {
      const { importStore } = await import("./cli/store.ts")
      done(await importStore(file, { settings: settingFlags(options) }))
    },
  )
  add("copy", "copy all of the store into an empty one")
    .requiredOption("--to <where>", "sqlite:FILE, or etcd://HOST:PORT[,HOST:PORT][/PREFIX]")
    .option("--force", force)
    .action(async (options: StoreFlags & { to: string }) => {
      const { copyStore } = await import("./cli/store.ts")
      done(await copyStore(options.to, { settings: settingFlags(options), force: options.force === true }))
    })
  add("check", "verify that every record can be read and all it refers to is there; exit 1 if not")
    .option("--json", "print what was found as JSON")
    .action(async (options: StoreFlags) => {
      const { checkStoreFaults } = await import("./cli/store.ts")
      done(await checkStoreFaults({ settings: settingFlags(options), json: options.json === true }))
    })
}

/** Whoever types a command wrongly is told where its own flags stand, not where all commands do. */
function nameOwnHelp(parent: Command, path = parent.name()): void {
  for (const command of parent.commands) {
    const own = `${path} ${command.name()}`
    command.showHelpAfterError(`("${own} --help" says what it takes)`)
    nameOwnHelp(command, own)
  }
}

interface StoreFlags {
  readonly force?: boolean
  readonly json?: boolean
}

interface RunFlags {
  readonly resource?: string
  readonly set?: readonly string[]
  readonly server?: string
  readonly json?: boolean
  readonly data?: string
}

interface PlanFlags {
  readonly resource?: string
  readonly set?: readonly string[]
  readonly event?: string
  readonly fail?: readonly string[]
  readonly server?: string
  readonly json?: boolean
}

function addSettings(command: Command, names: readonly SettingName[]): void {
  for (const name of names) {
    const { argument, description, default: value } = settings[name]
    const shown = value === "" ? description : `${description} (default: ${value})`
    if (name === "label") command.option(`--${name} ${argument}`, shown, collect)
    else command.option(`--${name} ${argument}`, shown)
  }
}

/** Commander's camelCase names back to the names of settings. */
function settingFlags(options: object): Record<string, string> {
  const isSetting = (name: string) => name in settings || name === "config"
  return Object.fromEntries(
    Object.entries(options)
      .map(
        ([name, value]) =>
          [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), String(value)] as const,
      )
      .filter(([name]) => isSetting(name)),
  )
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

/** Says on stderr what went wrong, once, and answers the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExit
  if (!(error instanceof ConveyorError)) {
    console.error(stackOf(error))
    return bugExit
  }
  console.error(`conveyor: ${error.message}`)
  for (const fault of error.faults) console.error(`  ${describeFault(fault)}`)
  return error.exit
}

/** A bug and what caused it. The runtime's own way to show an error adds pages of the executable's minified source. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}

/** Output to a pipe is written behind our back; it must be out before the process goes. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()))
}
