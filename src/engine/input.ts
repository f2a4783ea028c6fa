import type { JsonObject } from "../model/json.ts"
import type { AttemptOrder } from "./attempts.ts"

/** The input of an attempt: the step's `with`. */
export function inputOf({ step }: AttemptOrder): JsonObject {
  return step.with ?? {}
}
