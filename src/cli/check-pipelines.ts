import type { Config } from "../config.ts"
import { driverInputs } from "../drivers/driver-inputs.ts"
import { driverNames } from "../drivers/driver-names.ts"
import { type CheckedFiles, checkFiles } from "../loader/check.ts"
import { createInputChecks } from "../loader/input-checks.ts"

/** Checks pipeline files and folders against the drivers there are, without running any of the drivers folder. */
export async function checkPipelines(
  paths: readonly string[],
  { drivers: folder }: Pick<Config, "drivers">,
): Promise<CheckedFiles> {
  const [drivers, known] = await Promise.all([driverNames(folder), driverInputs(folder)])
  return checkFiles(paths, { drivers, inputs: createInputChecks(known) })
}
