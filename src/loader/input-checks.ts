import { inputFaultsOf } from "../model/input-fault.ts"
import type { JsonObject } from "../model/json.ts"
import { compileSchema, type SchemaCheck } from "../model/json-schema.ts"
import type { PathFault } from "../model/schema-fault.ts"
import { inputForEditors } from "./editor-input.ts"

/** A driver whose input is known. */
export interface DriverInput {
  readonly name: string
  /** Of draft 7. */
  readonly inputSchema: JsonObject
  /** Is it sure to be the one that a host has under this name? Otherwise all that is found is a warning. */
  readonly isCertain: boolean
}

/** Checks what steps give their drivers. */
export interface InputChecks {
  /**
   * What is wrong with an input for the driver of this name, with paths below `at`: an error where its step is certain to
   * fail. Nothing for a driver whose input is not known, and of values that are or hold expressions.
   */
  faultsOf(driver: string, input: JsonObject, at: string): Promise<readonly PathFault[]>
}

const inputAt = "/definitions/input"
const expressionAt = "/definitions/expression"

/** Checks inputs of these drivers. A schema is compiled when the first step needs it. */
export function createInputChecks(drivers: readonly DriverInput[]): InputChecks {
  const known = new Map(drivers.map((driver) => [driver.name, driver]))
  const compiled = new Map<string, Promise<SchemaCheck | undefined>>()

  return {
    async faultsOf(name, input, at) {
      const driver = known.get(name)
      if (driver === undefined) return []
      const compiling = compiled.get(name) ?? compileInput(driver)
      compiled.set(name, compiling)
      const check = await compiling
      return (check?.(input, at).faults ?? []).map((fault) => placedFault(fault, { at, driver }))
    },
  }
}

/** Undefined for a schema that nothing can be checked with. */
async function compileInput({ name, inputSchema }: DriverInput): Promise<SchemaCheck | undefined> {
  const schema = {
    $ref: `#${inputAt}`,
    definitions: {
      input: inputForEditors(inputSchema, inputAt),
      expression: { type: "string", pattern: "\\$\\{\\{" },
    },
  }
  // A schema that is put in the place of its reference is told of as if it were the whole.
  const places = { ignored: `#${expressionAt}/`, roots: ["#", `#${inputAt}`] }
  const compiled = await compileSchema(schema, {
    words: (errors, at) => inputFaultsOf(errors, { ...places, driver: name, at }),
  })
  return "check" in compiled ? compiled.check : undefined
}

function placedFault(
  { severity = "warning", path, ...fault }: Omit<PathFault, "path"> & { readonly path?: string },
  { at, driver }: { readonly at: string; readonly driver: DriverInput },
): PathFault {
  const isError = severity === "error"
  return {
    ...fault,
    path: path ?? at,
    ...(isError ? { atKey: true } : {}),
    ...(isError && driver.isCertain ? {} : { severity: "warning" }),
  }
}
