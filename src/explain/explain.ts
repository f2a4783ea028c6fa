import { hasExpressions } from "../model/expression.ts"
import { type ExpressionRead, readsOf } from "../model/expression-reads.ts"
import { valuesOf } from "../model/expression-values.ts"
import type { Json } from "../model/json.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import { present } from "../model/present.ts"
import { isEnded, isNew } from "../model/run.ts"
import { stepScope } from "../model/run-scope.ts"
import { runStandings, type Standing, stateStatus } from "../model/standing.ts"
import { upstreamOf } from "../model/step-graph.ts"
import { type ConditionOutlook, isStatusCall, outlookOf } from "./condition-outlook.ts"
import { explainRunItself } from "./explain-run.ts"
import type { Explaining, ExplainSources } from "./explain-sources.ts"
import { describeReason } from "./explain-words.ts"
import type { Reason, RunExplanation, StepExplanation } from "./explanation.ts"
import { haveEnded } from "./name-list.ts"
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
  const scope = stepScope({ ...sources, resource }, step, { standings, reads: readsOf(source), ...status })
  const outlook = outlookOf(
    source,
    {
      scope,
      openUntil: (read) => openUntil(read, step, { sources, standings }),
      statusOpenUntil: statusOpenUntil(standing),
    },
    { implies: step.role === undefined },
  )
  const state = states.get(step.id)
  if (state?.status === "skipped") {
    const { expression, values } = state.condition
    const parts = outlook.outcome === "false" ? { falseParts: outlook.falseParts ?? [] } : {}
    return { ...outlook, expression, values, outcome: "false", ...parts }
  }
  if (!isNew(state)) {
    const large = readsOf(source).filter((read) => untilRead(read, sources) !== undefined)
    const values = valuesOf(source, scope).filter(
      ({ expression }) => !isStatusCall(expression) && large.every((read) => read.expression !== expression),
    )
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

/** Until when is it open what its status functions answer? */
function statusOpenUntil(standing: Standing): string | undefined {
  if (standing.type === "due") return undefined
  const by = standing.type === "blocked" ? standing.by : []
  return by.length === 0 ? "it is written down how the run ends" : haveEnded(by)
}

/** Until when is it open what this reads when the step's turn comes? */
function openUntil(
  read: ExpressionRead,
  step: PipelineStep,
  { sources, standings }: Explaining,
): string | undefined {
  const { root, members } = read
  const { run, pipeline, steps } = sources
  const untilEnded = (ids: Iterable<string>) => {
    const left = [...ids].filter((id) => !hasEnded(standings.of.get(id)))
    return left.length === 0 ? undefined : haveEnded(left)
  }
  const untilStart = (own: Json) =>
    run.values === undefined && hasExpressions(own) ? "the run starts" : undefined
  const metadata = untilStart(pipeline?.metadata ?? {})
  const [first, second] = members
  switch (root) {
    case "results":
    case "steps":
      return (
        untilEnded(typeof first === "string" ? [first] : upstreamOf(step, steps)) ?? untilRead(read, sources)
      )
    case "metadata":
      return metadata
    case "env":
      return untilStart(pipeline?.env ?? {})
    case "resource":
      if (first !== undefined && first !== "metadata") return undefined
      if (metadata !== undefined || (typeof second === "string" && !second.startsWith("driverresults")))
        return metadata
      return untilEnded(upstreamOf(step, steps))
    case "run":
    case "event":
      return undefined
    default:
      return root satisfies never
  }
}

/** Large data lies in a file, on a host that may not answer now. */
function untilRead(
  { root, members: [stepId, member] }: ExpressionRead,
  { states, dataAt }: Explaining["sources"],
): string | undefined {
  if ((root !== "results" && root !== "steps") || member !== "data") return undefined
  const state = states.get(String(stepId))
  const dataRef = state !== undefined && "result" in state ? state.result.dataRef : undefined
  if (dataRef === undefined || dataAt(dataRef) !== undefined) return undefined
  return `the data of "${stepId}" can be read, which is on ${dataRef.hostId}`
}

function hasEnded(standing: Standing | undefined): boolean {
  return standing?.type === "ended" || standing?.type === "skipped"
}
