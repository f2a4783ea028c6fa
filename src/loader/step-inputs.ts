import { isJsonObject, type JsonObject } from "../model/json.ts"
import { graphOf } from "../model/pipeline-graph.ts"
import type { PathFault } from "../model/schema-fault.ts"
import type { InputChecks } from "./input-checks.ts"

/** Something wrong with the input of the step with this id. */
export interface StepInputFault {
  readonly step: string
  readonly fault: PathFault
}

/**
 * What is wrong with the inputs of a pipeline's steps, as it is written; those of `ensure` and `finally` too. An input
 * that is no mapping is passed over: its schema says so.
 */
export async function inputFaults(
  value: JsonObject,
  checks: InputChecks,
): Promise<readonly StepInputFault[]> {
  const found = await Promise.all(
    graphOf(value).steps.map(async ({ id, source, path }) => {
      const { driver, with: input = {} } = source
      if (typeof driver !== "string" || !isJsonObject(input)) return []
      const faults = await checks.faultsOf(driver, input, `${path}/with`)
      return faults.map((fault): StepInputFault => ({ step: id, fault }))
    }),
  )
  return found.flat()
}
