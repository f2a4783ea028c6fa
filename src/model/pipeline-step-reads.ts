import type { ExpressionRead } from "./expression-reads.ts"
import { nearestName } from "./nearest.ts"
import type { GraphStep, PipelineGraph } from "./pipeline-graph.ts"
import type { PathFault } from "./schema-fault.ts"

/** A step that reads another one. */
interface StepRead {
  readonly step: GraphStep
  readonly graph: PipelineGraph
  readonly read: ExpressionRead
}

/** What is wrong with reading a step, in `steps` or `results`: there is none, or it has not ended then. */
export function stepReadFault(
  id: string,
  { step, graph, read }: StepRead,
): Omit<PathFault, "path"> | undefined {
  const target = graph.steps.find((each) => each.id === id)
  if (target === undefined) return unknownStep(id, { step, graph, read })
  if (graph.isUpstream(step, id)) return undefined
  return { message: `"${read.expression}" has no value here: ${whyNot(step, target, graph)}` }
}

function unknownStep(id: string, { step, graph, read }: StepRead): Omit<PathFault, "path"> {
  const dashed = graph.steps.find((each) => each.id.startsWith(`${id}-`))
  const readable = graph.upstreamOf(step)
  const nearest =
    nearestName(id, readable) ??
    nearestName(
      id,
      graph.steps.map((each) => each.id),
    )
  const message = `"${read.expression}" reads the step "${id}", which does not exist`
  if (nearest !== undefined) return { message, nearest }
  if (dashed !== undefined) {
    return { message: `${message}; an id with "-" in it is written ${read.root}["${dashed.id}"]` }
  }
  const shown = readable.slice(0, 8).map((each) => `"${each}"`)
  if (shown.length === 0) return { message: `${message}, and no step comes before this one` }
  return {
    message: `${message}; before this one come ${shown.join(", ")}${readable.length > 8 ? ", …" : ""}`,
  }
}

/** Why a step that exists cannot be read, and what to do about it. */
function whyNot(step: GraphStep, target: GraphStep, graph: PipelineGraph): string {
  if (target.id === step.id) return "a step cannot read itself"
  if (graph.isUpstream(target, step.id)) return `the step "${target.id}" comes after this one`
  if (target.role !== undefined)
    return `"${target.id}" is a cleanup step, which only cleanup steps after it can read`
  if (step.role?.type === "ensure") return `add "${target.id}" to the needs of "${step.role.of}"`
  return `the step does not wait for "${target.id}"; write needs: [${[...step.needs, target.id].join(", ")}]`
}
