import { type MetricName, metricOf, moreIsBetter } from "./metrics.ts"
import type { Result, Section } from "./results.ts"

const headings = ["", "median", "unit", "lowest", "highest", "target", "× floor"]

/** A section as a table in plain text, its title above it. */
export function tableOf(title: string, section: Section): string {
  const rows = [headings, ...[...section].map(([name, result]) => rowOf(name, result))]
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row.map((cell, column) => align(cell, column, widths[column] ?? 0)).join("  "),
  )
  return [title, ...lines.map((line) => `  ${line.trimEnd()}`), ""].join("\n")
}

function rowOf(name: MetricName, { median, min, max, target, reached, timesFloor }: Result): string[] {
  const metric = metricOf(name)
  const wanted = target === undefined ? "" : `${moreIsBetter(metric) ? "≥" : "≤"} ${short(target)}`
  return [
    metric.label,
    short(median),
    metric.unit,
    short(min),
    short(max),
    reached === false ? `${wanted} missed` : wanted,
    timesFloor === undefined ? "" : short(timesFloor),
  ]
}

/** Words stand left, numbers right. */
function align(cell: string, column: number, width: number): string {
  return column === 0 || column === 2 || column === 5 ? cell.padEnd(width) : cell.padStart(width)
}

/** Three digits that mean something, and thousands apart. */
function short(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en-US") : Number(value.toPrecision(3)).toString()
}
