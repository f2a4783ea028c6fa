import { join, relative } from "node:path"
import type { Config } from "../config.ts"
import { driverInputs } from "../drivers/driver-inputs.ts"
import { driverNames } from "../drivers/driver-names.ts"
import { type LoadedInputs, loadInputs } from "../drivers/load-inputs.ts"
import { type CheckedFiles, checkFiles } from "../loader/check.ts"
import { createInputChecks } from "../loader/input-checks.ts"
import type { Fault } from "../model/fault.ts"

/**
 * Checks pipeline files and folders against the drivers there are. Nothing of the drivers folder is run, unless
 * `loadDrivers` says so: then the inputs of its drivers are checked too, and what is wrong with a driver is a warning.
 */
export async function checkPipelines(
  paths: readonly string[],
  {
    drivers: folder,
    loadDrivers = false,
  }: Pick<Config, "drivers"> & {
    readonly loadDrivers?: boolean
  },
): Promise<CheckedFiles> {
  const { names, inputs, faults } = loadDrivers ? await loadInputs(folder) : await knownInputs(folder)
  const checked = await checkFiles(paths, { drivers: names, inputs: createInputChecks(inputs) })
  return { ...checked, faults: [...faults.map((fault) => driverFault(fault, folder)), ...checked.faults] }
}

async function knownInputs(folder: string): Promise<LoadedInputs> {
  const [names, inputs] = await Promise.all([driverNames(folder), driverInputs(folder)])
  return { names, inputs, faults: [] }
}

/** It is no fault of a pipeline, and may be mended before one runs. */
function driverFault({ message, file = "", severity, ...fault }: Fault, folder: string): Fault {
  const why = severity === "warning" ? message : `${message}; what its steps are given is not checked`
  return { ...fault, message: why, file: join(relative(process.cwd(), folder), file), severity: "warning" }
}
