import type { ExpressionRoot } from "./expression-environment.ts"
import { isJsonObject, type Json, type JsonObject } from "./json.ts"
import type { GraphStep } from "./pipeline-graph.ts"

/** A place in a pipeline where expressions may stand, and what they may read there. */
export interface ExpressionPlace {
  /** A JSON Pointer. */
  readonly path: string
  readonly value: Json
  /** Is it a condition: CEL without braces? */
  readonly isCondition: boolean
  /** What people call it. */
  readonly name: string
  /** The names that have a value when it is evaluated. */
  readonly roots: readonly ExpressionRoot[]
  /** The step it belongs to; only there `success()` and its like have a value. */
  readonly step?: GraphStep
}

/** Before any step has run. */
const startRoots = ["resource", "run", "event", "env"] as const
const stepRoots = [...startRoots, "metadata", "results", "steps"] as const

/** Every place of a pipeline as it is written whose expressions are evaluated, those of its steps included. */
export function placesIn(value: JsonObject, steps: readonly GraphStep[]): readonly ExpressionPlace[] {
  const beside = [...startRoots, "metadata"] as const
  const concurrency = value["concurrency"]
  return [
    place("metadata", { value: value["metadata"], path: "/metadata", roots: startRoots }),
    place("env", { value: value["env"], path: "/env", roots: beside }),
    place("timeout", { value: value["timeout"], path: "/timeout", roots: beside }),
    place("concurrency.key", {
      value: isJsonObject(concurrency) ? concurrency["key"] : undefined,
      path: "/concurrency/key",
      roots: beside,
    }),
    ...steps.map((step) => placesOfStep(step)),
  ].flat()
}

function placesOfStep(step: GraphStep): readonly ExpressionPlace[] {
  const { source, path } = step
  return [
    ...place("if", { value: source["if"], path: `${path}/if`, roots: stepRoots, step }),
    ...["with", "env", "timeout"].flatMap((field) =>
      place(field, { value: source[field], path: `${path}/${field}`, roots: stepRoots, step }),
    ),
  ]
}

function place(
  name: string,
  rest: Omit<ExpressionPlace, "name" | "value" | "isCondition"> & { readonly value: Json | undefined },
): ExpressionPlace[] {
  const { value } = rest
  const isCondition = name === "if"
  if (value === undefined || (isCondition && typeof value !== "string")) return []
  return [{ ...rest, value, name, isCondition }]
}
