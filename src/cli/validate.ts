import { relative } from "node:path"
import { loadConfig } from "../config.ts"
import type { CheckedFiles } from "../loader/check.ts"
import { describeFault, type Fault } from "../model/fault.ts"
import { checkPipelines } from "./check-pipelines.ts"
import { type OutputOptions, outputOf } from "./output-options.ts"
import { printable, type Style } from "./terminal.ts"

/** `settings`: they say which folders there are. */
export interface ValidateOptions extends OutputOptions {
  /** Load the drivers of the folder, which runs their modules, and check their inputs too. */
  readonly loadDrivers?: boolean
}

/** The widest line that is shown under a fault; a longer one is cut around the place. */
const widthMax = 120

/**
 * `conveyor validate`: checks pipeline files and folders (default: the pipelines folder) without running or storing
 * anything, and prints all that is wrong with its place. A step whose driver is neither shipped nor in the drivers
 * folder gets a warning; the input of a shipped one is checked, and with `loadDrivers` that of all. Answers the exit code:
 * 1 when something is wrong, 0 when all is well or there are only warnings.
 */
export async function validate(paths: readonly string[], options: ValidateOptions): Promise<number> {
  const { loadDrivers = false } = options
  const { print, style } = outputOf(options)
  const cwd = process.cwd()
  const config = await loadConfig({ flags: options.settings, env: process.env, cwd })
  const wanted = paths.length > 0 ? paths : [relative(cwd, config.pipelines) || "."]
  const checked = await checkPipelines(wanted, { drivers: config.drivers, loadDrivers })
  if (options.json) {
    print(JSON.stringify(checked.faults, undefined, 2))
  } else {
    for (const fault of checked.faults) for (const line of showFault(fault, checked, style)) print(line)
    print(summary(checked, style))
  }
  return checked.faults.some(isError) ? 1 : 0
}

function showFault(fault: Fault, checked: CheckedFiles, style: Style): string[] {
  const paint = isError(fault) ? style.red : style.yellow
  const warning = isError(fault) ? "" : style.yellow("warning: ")
  return [
    `${warning}${style.bold(printable(describeFault(fault)))}`,
    ...excerpt(fault, checked).map((line, index) => (index === 0 ? line : paint(line))),
  ]
}

/** The line of the fault and a caret under its column. */
function excerpt({ file, line, column }: Fault, checked: CheckedFiles): string[] {
  if (file === undefined || line === undefined || column === undefined) return []
  const source = checked.textOf(file)?.split("\n")[line - 1]
  if (source === undefined) return []
  const from = column > widthMax ? column - widthMax / 2 : 0
  const shown = printable(source.slice(from, from + widthMax))
  const before = source.slice(from, column - 1).replace(/[^\t]/g, " ")
  return [`  ${shown}`, `  ${before}^`]
}

function summary({ files, pipelines, definitions, faults }: CheckedFiles, style: Style): string {
  const errors = faults.filter(isError).length
  const what = `${count(files, "file")}, ${count(pipelines, "pipeline")}, ${count(definitions, "resource definition")}`
  const warnings = count(faults.length - errors, "warning")
  const wrong = `${count(errors, "error")}, ${warnings}`
  if (errors > 0) return style.red(`${what}: ${wrong}`)
  return faults.length > 0 ? style.yellow(`${what}: ${warnings}`) : style.green(`${what}: all valid`)
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`
}

function isError(fault: Fault): boolean {
  return fault.severity !== "warning"
}
