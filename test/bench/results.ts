import { type MetricName, metricOf, metrics, moreIsBetter, type Values } from "./metrics.ts"
import { median } from "./statistics.ts"

/** One metric over all rounds. */
export interface Result {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly target?: number
  /** Whether the median reaches the target; absent without one. */
  readonly reached?: boolean
  /** The median against its floor's: how many times slower, dearer or longer. Absent without a floor. */
  readonly timesFloor?: number
}

/** Metrics that were measured together: those of one store, or of the machine. */
export type Section = ReadonlyMap<MetricName, Result>

export interface SummaryOptions {
  /** Floors are looked for here too. */
  readonly machine: readonly Values[]
  /** Targets are meant for the embedded store. */
  readonly targets: boolean
}

/** Puts the values of all rounds of a section together. */
export function summarise(rounds: readonly Values[], { machine, targets }: SummaryOptions): Section {
  const valuesOf = (name: MetricName, from: readonly Values[]) =>
    from.map((round) => round[name]).filter((value) => value !== undefined)
  const section = new Map<MetricName, Result>()
  for (const name of Object.keys(metrics) as MetricName[]) {
    const values = valuesOf(name, rounds)
    if (values.length === 0) continue
    const { floor } = metricOf(name)
    const floors = floor === undefined ? [] : valuesOf(floor as MetricName, [...rounds, ...machine])
    section.set(name, resultOf(name, { values, floors, targets }))
  }
  return section
}

function resultOf(
  name: MetricName,
  from: { readonly values: readonly number[]; readonly floors: readonly number[]; readonly targets: boolean },
): Result {
  const metric = metricOf(name)
  const middle = median(from.values)
  const more = moreIsBetter(metric)
  const target = from.targets ? metric.target : undefined
  const floor = median(from.floors)
  return {
    median: middle,
    min: Math.min(...from.values),
    max: Math.max(...from.values),
    ...(target === undefined ? {} : { target, reached: more ? middle >= target : middle <= target }),
    ...(from.floors.length === 0 ? {} : { timesFloor: more ? floor / middle : middle / floor }),
  }
}
