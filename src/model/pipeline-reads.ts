import type { DriverResult } from "./driver.ts"
import { resourceEvents } from "./event.ts"
import type { ExpressionScope, StepInScope } from "./expression.ts"
import type { ExpressionProgram } from "./expression-program.ts"
import { type ExpressionRead, type ReadComparison, readsOfProgram } from "./expression-reads.ts"
import { isJsonObject, type JsonObject } from "./json.ts"
import { nearestName } from "./nearest.ts"
import type { PipelineGraph } from "./pipeline-graph.ts"
import type { ExpressionPlace } from "./pipeline-places.ts"
import { stepReadFault } from "./pipeline-step-reads.ts"
import type { Resource } from "./resource.ts"
import { stepStatuses } from "./run.ts"
import type { PathFault } from "./schema-fault.ts"

/** An expression where it stands. */
export interface PlacedExpression {
  readonly place: ExpressionPlace
  readonly program: ExpressionProgram
  /** The JSON Pointer of the text it stands in. */
  readonly path: string
  readonly graph: PipelineGraph
  /** The pipeline as it is written. */
  readonly value: JsonObject
}

/** The fields of what has always the same ones. */
const fields = {
  resource: ["id", "name", "resource", "pipeline", "version", "metadata", "spec", "createdAt", "updatedAt"],
  run: ["id", "pipeline", "createdAt"],
  steps: ["status", "success", "message", "data"],
  results: ["success", "message", "data"],
} as const satisfies {
  readonly resource: readonly (keyof Resource)[]
  readonly run: readonly (keyof NonNullable<ExpressionScope["run"]>)[]
  readonly steps: readonly (keyof StepInScope)[]
  readonly results: readonly (keyof DriverResult)[]
}

/** What is wrong with what an expression reads, told from the pipeline around it. */
export function readFaults(placed: PlacedExpression): readonly PathFault[] {
  const { reads, statusCalls, comparisons } = readsOfProgram(placed.program)
  const { place, program, path } = placed
  const at = (start: number) => program.start + start
  const calls = place.step === undefined ? statusCalls : []
  return [
    ...calls.map(({ name, start }) => ({
      message: `${name}() has no value in ${place.name}, which is evaluated before any step runs`,
      path,
      at: at(start),
    })),
    ...reads.flatMap((read) => {
      const fault = readFault(read, placed) ?? metadataFault(read, placed)
      return fault === undefined ? [] : [{ ...fault, path, at: at(read.start) }]
    }),
    ...comparisons.flatMap((comparison) => {
      const fault = comparisonFault(comparison)
      return fault === undefined ? [] : [{ ...fault, path, at: at(comparison.start) }]
    }),
  ]
}

export type ReadFault = Omit<PathFault, "path">

function readFault(read: ExpressionRead, placed: PlacedExpression): ReadFault | undefined {
  const { place, graph } = placed
  const { root, members } = read
  if (!place.roots.includes(root)) {
    const allowed = place.roots.join(", ")
    const when = root === "metadata" ? "while it is made" : "before any step runs"
    return { message: `${place.name} cannot read ${root}: it is evaluated ${when}; it may read ${allowed}` }
  }
  if (root === "resource" || root === "run") return fieldFault(read, 0)
  if (root !== "steps" && root !== "results") return undefined
  const [id] = members
  if (typeof id !== "string" || place.step === undefined) return undefined
  return stepReadFault(id, { step: place.step, graph, read }) ?? fieldFault(read, 1)
}

/** A field that what is read never has. */
function fieldFault({ root, members, expression }: ExpressionRead, at: 0 | 1): ReadFault | undefined {
  const known: readonly string[] = root in fields ? fields[root as keyof typeof fields] : []
  const field = members[at]
  if (typeof field !== "string" || known.includes(field)) return undefined
  const nearest = nearestName(field, known)
  const message = `"${expression}" reads the unknown field "${field}"`
  return nearest === undefined
    ? { message: `${message}; there are ${known.join(", ")}` }
    : { message, nearest }
}

/** Metadata that the pipeline does not have now may be there when it is edited, so it is a warning. */
function metadataFault(read: ExpressionRead, { program, value }: PlacedExpression): ReadFault | undefined {
  const [field] = read.members
  const metadata = value["metadata"] ?? {}
  if (read.root !== "metadata" || typeof field !== "string" || !isJsonObject(metadata)) return undefined
  const isAskedFor = readsOfProgram(program).reads.some(
    ({ root, members, isAsked }) => isAsked && root === "metadata" && members[0] === field,
  )
  if (Object.hasOwn(metadata, field) || isAskedFor) return undefined
  const nearest = nearestName(field, Object.keys(metadata))
  const message = `The pipeline's metadata has no "${field}", so "${read.expression}" has no value`
  return { message, severity: "warning", ...(nearest === undefined ? {} : { nearest }) }
}

/** A comparison that is never true. */
function comparisonFault({ read, text }: ReadComparison): ReadFault | undefined {
  const { root, members } = read
  const isStatus = root === "steps" && members.length === 2 && members[1] === "status"
  const isEvent = root === "event" && members.length === 0
  const known: readonly string[] = isStatus ? stepStatuses : isEvent ? resourceEvents : [text]
  if (known.includes(text)) return undefined
  // People write "success" for "succeeded" and "failure" for "failed".
  const nearest = nearestName(text, known) ?? known.find((word) => word.slice(0, 3) === text.slice(0, 3))
  const message = `"${read.expression}" is never "${text}"`
  if (nearest !== undefined) return { message, nearest }
  return { message: `${message}; it is one of ${known.join(", ")}` }
}
