import { type ConditionOutlook, outlookOf } from "./condition-outlook.ts"
import { explainRunItself } from "./explain-run.ts"
import type { Explaining, ExplainSources } from "./explain-sources.ts"
import { describeReason } from "./explain-words.ts"
import type { Reason, RunExplanation, StepExplanation } from "./explanation.ts"
import { hasExpressions } from "./expression.ts"
import type { ExpressionRead } from "./expression-reads.ts"
import { valuesOf } from "./expression-values.ts"
import type { PipelineStep } from "./pipeline.ts"
import { present } from "./present.ts"
import { isEnded } from "./run.ts"
import { stepScope } from "./run-scope.ts"
import { runStandings, type Standing, stateStatus } from "./standing.ts"
import { upstreamOf } from "./step-graph.ts"
import { reasonOf } from "./step-reason.ts"

/** Says of a run, and of each of its steps, why it is where it is. Pure. */
export function explainRun(sources: ExplainSources): RunExplanation {
  const { run, steps, states, pipeline } = sources
  const standings = runStandings(run, steps, { states, failFast: pipeline?.failFast !== false })
  const explaining: Explaining = { sources, standings }
  const explained = steps.map((step): StepExplanation => {
    const standing = standings.of.get(step.id) as Standing
    const condition = step.if === undefined ? undefined : conditionOf(step, standing, explaining)
    const reason: Reason = reasonOf(step, { ...explaining, standing, condition })
    const state = states.get(step.id)
    return present({
      id: step.id,
      name: step.name,
      role: step.role?.type,
      driver: step.driver,
      status: stateStatus(state, standing),
      attempt: state?.attempt ?? 0,
      message: describeReason(reason, { step, condition }),
      reason,
      condition,
    })
  })
  return {
    runId: run.runId,
    status: run.status,
    ...explainRunItself(explaining, explained),
    steps: explained,
  }
}

/** Its `if`: as it was evaluated, or as far as it can be told now. */
function conditionOf(
  step: PipelineStep,
  standing: Standing,
  { sources, standings }: Explaining,
): ConditionOutlook | undefined {
  const { resource, states, run } = sources
  const source = step.if as string
  if (resource === undefined) return undefined
  const status = standing.type === "due" ? { status: standing.upstream } : {}
  const scope = stepScope({ ...sources, resource }, step, { standings, ...status })
  const outlook = outlookOf(
    source,
    {
      scope,
      isSettled: (read) => isSettled(read, step, { sources, standings }),
      isStatusSettled: standing.type === "due",
    },
    { implies: step.role === undefined },
  )
  const state = states.get(step.id)
  if (state?.status === "skipped") {
    const { expression, values } = state.condition
    const parts = outlook.outcome === "false" ? { falseParts: outlook.falseParts ?? [] } : {}
    return { ...outlook, expression, values, outcome: "false", ...parts }
  }
  if ((state?.attempt ?? 0) > 0) {
    const values = valuesOf(source, scope).filter(({ expression }) => !isStatusCall(expression))
    return { ...withoutParts(outlook), values, outcome: "true" }
  }
  const brokenBy = brokenByOf(standing)
  if (brokenBy !== undefined && outlook.implied === true) {
    const values = [{ expression: "success()", value: false }, ...outlook.values]
    return { ...outlook, values, outcome: "false", falseParts: ["success()"] }
  }
  return standing.type === "skipped" || isEnded(run.status) ? undefined : outlook
}

function withoutParts({ falseParts: _, message: __, ...rest }: ConditionOutlook): ConditionOutlook {
  return rest
}

function brokenByOf(standing: Standing): string | undefined {
  if (standing.type === "blocked") return standing.brokenBy
  if (standing.type !== "skipped" || standing.because.type !== "upstream") return undefined
  return standing.because.stepId
}

function isStatusCall(expression: string): boolean {
  return expression === "success()" || expression === "failure()"
}

/** Is what this reads as it will be when the step's turn comes? */
function isSettled(
  { root, members }: ExpressionRead,
  step: PipelineStep,
  { sources: { run, pipeline, steps }, standings }: Explaining,
): boolean {
  const hasEnded = (id: string) => {
    const type = standings.of.get(id)?.type
    return type === "ended" || type === "skipped"
  }
  const [first, second] = members
  const ownValues = run.values !== undefined || pipeline === undefined
  switch (root) {
    case "results":
    case "steps":
      return typeof first === "string" ? hasEnded(first) : [...upstreamOf(step, steps)].every(hasEnded)
    case "metadata":
      return ownValues || !hasExpressions(pipeline.metadata)
    case "env":
      return ownValues || !hasExpressions(pipeline.env ?? {})
    case "resource":
      if (first !== undefined && first !== "metadata") return true
      if (!(ownValues || !hasExpressions(pipeline.metadata))) return false
      if (typeof second === "string" && !second.startsWith("driverresults")) return true
      return [...upstreamOf(step, steps)].every(hasEnded)
    case "run":
    case "event":
      return true
    default:
      return root satisfies never
  }
}
