import { checkCondition, checkExpressions, textsIn } from "./expression-check.ts"
import { compileCondition, compileText, type ExpressionProgram } from "./expression-program.ts"
import type { JsonObject } from "./json.ts"
import { graphOf } from "./pipeline-graph.ts"
import { type ExpressionPlace, placesIn } from "./pipeline-places.ts"
import { readFaults } from "./pipeline-reads.ts"
import type { PathFault } from "./schema-fault.ts"

/** With so many faults no further place is looked at: nobody reads more, and naming the nearest thing takes its time. */
const expressionFaultsMax = 100

/**
 * Everything wrong with a pipeline that its schema cannot say, at once: ids used twice, needs of unknown steps, cycles, and
 * what is wrong with its expressions. The pipeline is taken as it is written, and looked at as far as it can be read:
 * `found` is what its schema says, and what that is about is passed over. Each fault has its JSON Pointer.
 */
export function checkPipeline(value: JsonObject, found: readonly PathFault[] = []): readonly PathFault[] {
  const graph = graphOf(value)
  const places = placesIn(value, graph.steps).filter(
    ({ path }) => !found.some((fault) => fault.path === path || fault.path.startsWith(`${path}/`)),
  )
  const expressions: PathFault[] = []
  for (const place of places) {
    if (expressions.length >= expressionFaultsMax) break
    expressions.push(...compileFaults(place))
    for (const placed of programsIn(place))
      expressions.push(...readFaults({ ...placed, place, graph, value }))
  }
  // An id or a need that is none is no unknown one as well.
  const known = new Set(found.map(({ path }) => path.replace(/\/step$/, "")))
  return [...graph.faults.filter(({ path }) => !known.has(path)), ...expressions]
}

function compileFaults({ value, path, isCondition }: ExpressionPlace): PathFault[] {
  const faults = isCondition && typeof value === "string" ? checkCondition(value) : checkExpressions(value)
  return faults.map((fault) => ({ ...fault, path: path + fault.path }))
}

/** The expressions that can run, and the JSON Pointers of their texts. */
function programsIn({ value, path, isCondition }: ExpressionPlace) {
  const texts = isCondition && typeof value === "string" ? [{ text: value, path: "" }] : textsIn(value)
  return texts.flatMap((found) => {
    const parts = isCondition ? [compileCondition(found.text)] : compileText(found.text)
    const programs = parts.filter((part): part is ExpressionProgram => part.type === "program")
    return programs.map((program) => ({ program, path: path + found.path }))
  })
}
