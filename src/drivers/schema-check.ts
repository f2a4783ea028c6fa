import type { AttemptResult } from "../model/driver.ts"
import type { LoadedModule } from "./loaded-module.ts"
import { lastingFailure, readResult } from "./result.ts"
import type { SchemaIssue, StandardSchema } from "./sdk.ts"

/** What a schema makes of a value, or a line for each fault, with its path below `root`. */
export async function check(
  schema: StandardSchema<unknown, unknown> | undefined,
  value: unknown,
  root: string,
): Promise<{ readonly value: unknown } | { readonly faults: readonly string[] }> {
  if (schema === undefined) return { value }
  const result = await schema["~standard"].validate(value)
  return result.issues === undefined
    ? { value: result.value }
    : { faults: result.issues.map((issue) => describeIssue(issue, root)) }
}

/** A success whose data the driver's `output` accepts, with what it makes of it; or a failure. A failure stays as it is. */
export async function checkOutput({ output }: LoadedModule, result: AttemptResult): Promise<AttemptResult> {
  if (output === undefined || !result.success) return result
  const data = await check(output, result.data, "data")
  if ("faults" in data) {
    return lastingFailure(`The driver's output does not validate: ${data.faults.join("; ")}`)
  }
  // Read once more: a schema may make anything of what it is given, and it must be JSON again.
  const checked = readResult({ ...result, data: data.value })
  return checked.success && result.probed === true ? { ...checked, probed: true } : checked
}

function describeIssue({ message, path = [] }: SchemaIssue, root: string): string {
  const keys = path.map((part) => String(typeof part === "object" ? part.key : part))
  return `${[root, ...keys].join(".")}: ${message}`
}
