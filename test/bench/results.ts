import { type MetricName, metricOf, metrics, moreIsBetter, type Values } from "./metrics.ts"
import { median } from "./statistics.ts"

/** One metric over all rounds. */
export interface Result {
  readonly median: number
  readonly min: number
  readonly max: number
  /** Whether the median reaches the target; absent without one. */
  readonly reached?: boolean
  /** The median against its floor's: how many times slower, dearer or longer. Absent without a floor. */
  readonly timesFloor?: number
}

/** Metrics that were measured together: those of one store, or of the machine. */
export type Section = ReadonlyMap<MetricName, Result>

/** Puts the values of all rounds of a section together. Floors are also looked for among `machine`. */
export function summarise(rounds: readonly Values[], machine: readonly Values[] = []): Section {
  const valuesOf = (name: MetricName, from: readonly Values[]) =>
    from.map((round) => round[name]).filter((value) => value !== undefined)
  const section = new Map<MetricName, Result>()
  for (const name of Object.keys(metrics) as MetricName[]) {
    const values = valuesOf(name, rounds)
    if (values.length === 0) continue
    const { floor } = metricOf(name)
    const floors = floor === undefined ? [] : valuesOf(floor as MetricName, [...rounds, ...machine])
    section.set(name, resultOf(name, values, floors))
  }
  return section
}

function resultOf(name: MetricName, values: readonly number[], floors: readonly number[]): Result {
  const metric = metricOf(name)
  const middle = median(values)
  const more = moreIsBetter(metric)
  const { target } = metric
  const floor = median(floors)
  return {
    median: middle,
    min: Math.min(...values),
    max: Math.max(...values),
    ...(target === undefined ? {} : { reached: more ? middle >= target : middle <= target }),
    ...(floors.length === 0 ? {} : { timesFloor: more ? floor / middle : middle / floor }),
  }
}
