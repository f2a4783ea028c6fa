/** One row of the result. */
interface Metric {
  readonly label: string
  readonly unit: "runs/s" | "steps/s" | "lines/s" | "ms" | "µs" | "MB"
  /** What it is to reach on the embedded store: at least for what is counted per second, at most for all else. */
  readonly target?: number
  /** The metric that says what the parts underneath take for the same work. */
  readonly floor?: string
}

/** Everything that is measured, in the order of the table. */
export const metrics = {
  readyMs: { label: "start to ready, empty folder", unit: "ms", target: 50, floor: "spawnMs" },
  emptyMegabytes: { label: "memory, idle, empty folder", unit: "MB", target: 70 },
  idleMegabytes: { label: "memory, idle, two drivers loaded", unit: "MB", target: 70 },
  loadedMegabytes: { label: "memory, after the load", unit: "MB" },
  loadRuns: { label: "64 in flight: runs", unit: "runs/s", floor: "groupedRuns" },
  loadSteps: { label: "64 in flight: steps", unit: "steps/s", target: 10_000, floor: "groupedSteps" },
  loadP50: { label: "64 in flight: submit to finish, p50", unit: "ms" },
  loadP95: { label: "64 in flight: submit to finish, p95", unit: "ms" },
  loadP99: { label: "64 in flight: submit to finish, p99", unit: "ms" },
  loadHostCpu: { label: "64 in flight: CPU of the host, a step", unit: "µs", floor: "groupedCpu" },
  loadClientCpu: { label: "64 in flight: CPU of the client, a step", unit: "µs" },
  aloneRuns: { label: "one at a time: runs", unit: "runs/s" },
  aloneP50: { label: "one at a time: submit to finish, p50", unit: "ms", target: 3, floor: "aloneMs" },
  aloneP95: { label: "one at a time: submit to finish, p95", unit: "ms" },
  aloneP99: { label: "one at a time: submit to finish, p99", unit: "ms" },
  aloneHostCpu: { label: "one at a time: CPU of the host, a step", unit: "µs" },
  reloadP50: { label: "file to store, p50", unit: "ms", target: 100 },
  reloadMax: { label: "file to store, the slowest", unit: "ms", target: 100 },
  logLines: { label: "log lines of one attempt", unit: "lines/s", floor: "rawLogLines" },
  groupedRuns: { label: "floor: the same writes, 64 runs at a time", unit: "runs/s" },
  groupedSteps: { label: "floor: the same writes, 64 runs at a time", unit: "steps/s" },
  groupedCpu: { label: "floor: the same writes, CPU a step", unit: "µs" },
  aloneMs: { label: "floor: the same writes, one run alone, p50", unit: "ms" },
  rawLogLines: { label: "floor: the same lines written and synced", unit: "lines/s" },
  spawnMs: { label: "floor: a process, sh -c true, p50", unit: "ms" },
  workerMicroseconds: { label: "floor: a worker thread, there and back, p50", unit: "µs" },
} as const satisfies Readonly<Record<string, Metric>>

export type MetricName = keyof typeof metrics

/** Values of some metrics from one round. */
export type Values = Readonly<Partial<Record<MetricName, number>>>

/** The metric's row, with what not every metric has. */
export const metricOf = (name: MetricName): Metric => metrics[name]

/** Whether more of it is better. */
export const moreIsBetter = ({ unit }: Metric): boolean => unit.endsWith("/s")
