import type { LogLine, UnwrittenLogLine } from "../model/log.ts"

/**
 * The logs of runs: one append-only file per run under the data folder. The file is the truth; whoever follows it
 * reads the file and is only told that it grew, so a slow reader costs a writer nothing.
 */
export interface LogStore extends AsyncDisposable {
  /**
   * Appends lines to a run's log, in the order of calls, and resolves when they are durable (written and synced).
   * Lines handed in while an earlier write is under way share the next one.
   */
  append(runId: string, lines: readonly UnwrittenLogLine[]): Promise<void>
  /**
   * Lines after sequence `after` (default 0: all), in order, in batches: first what is in the file, then, with
   * `follow`, what is appended, until `signal` aborts. No gap, no duplicate, however often it is called. With `follow`, an
   * empty batch says that all lines there are have been read.
   */
  read(
    runId: string,
    options: { readonly after?: number; readonly follow?: boolean; readonly signal: AbortSignal },
  ): AsyncIterable<readonly LogLine[]>
  /** The path of a run's log file, whether it exists yet or not. */
  file(runId: string): string
}
