import type { DataRef } from "./driver.ts"
import { type ExpressionRead, readsOf, readsOfText } from "./expression-reads.ts"
import type { Json } from "./json.ts"
import { onceFor } from "./once-for.ts"
import type { PipelineStep } from "./pipeline.ts"
import type { RunContent } from "./run-scope.ts"
import { upstreamOf } from "./step-graph.ts"

/* Which large data of earlier steps a step cannot do without. */

/** Large data of a step. */
export interface StepData {
  readonly stepId: string
  readonly ref: DataRef
}

/** The large data of all steps this one comes after. */
export function largeDataBefore(
  step: PipelineStep,
  { steps, states }: Pick<RunContent, "steps" | "states">,
): readonly StepData[] {
  const found: StepData[] = []
  for (const stepId of upstreamOf(step, steps)) {
    const state = states.get(stepId)
    const ref = state !== undefined && "result" in state ? state.result.dataRef : undefined
    if (ref !== undefined) found.push({ stepId, ref })
  }
  return found
}

/** Whose data expressions may read: every step's, or that of these. */
export type DataReads = "all" | ReadonlySet<string>

/** Whose data a step's `if` may read. */
export const dataReadByCondition = onceFor((step: PipelineStep) =>
  dataReadBy(step.if === undefined ? [] : readsOf(step.if)),
)

/** Whose data its `with`, `env` and `timeout` may read. */
export const dataReadByInputs = onceFor((step: PipelineStep) => {
  const texts = [...textsIn(step.with ?? {}), ...Object.values(step.env ?? {}), step.timeout ?? ""]
  return dataReadBy(texts.flatMap(readsOfText))
})

/** Does it read the data of any step? */
export function readsAny(reads: DataReads): boolean {
  return reads === "all" || reads.size > 0
}

/** Of large data, what it reads. */
export function readOf(reads: DataReads, all: readonly StepData[]): readonly StepData[] {
  return reads === "all" ? all : all.filter(({ stepId }) => reads.has(stepId))
}

function dataReadBy(reads: readonly ExpressionRead[]): DataReads {
  const steps = new Set<string>()
  for (const { root, members } of reads) {
    const [first, second, , fourth] = members
    if (root === "steps" || root === "results") {
      if (first === undefined) return "all"
      if (second === undefined || second === "data") steps.add(String(first))
    } else if (root === "resource" && (first === undefined || first === "metadata")) {
      const isResult = second === undefined || String(second).startsWith("driverresults")
      if (isResult && (fourth === undefined || fourth === "data")) return "all"
    }
  }
  return steps
}

function textsIn(value: Json): readonly string[] {
  if (typeof value === "string") return [value]
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : []
}
