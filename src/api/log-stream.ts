import type { LogStore } from "../logs/log-store.ts"
import type { LogLine } from "../model/log.ts"
import type { Run } from "../model/run.ts"
import type { FollowedRun } from "./followed-run.ts"
import type { ServerSentEvent } from "./sse.ts"

export interface LogStreamOptions {
  readonly logs: LogStore
  /** A run that is known; disposed at the end. */
  readonly observed: FollowedRun
  /** The sequence of the last line the client has. */
  readonly after: number
  /** Only lines of this driver. */
  readonly driver: string | undefined
  readonly view: (line: LogLine, run: Run) => object
  readonly signal: AbortSignal
}

/**
 * The lines of a run's log as messages whose id is the sequence: what is there, then what comes; when the run has ended
 * and all its lines are sent, `end` with its status. The position only moves with lines that were sent, so going from
 * following to draining neither loses nor repeats one.
 */
export async function* logEvents(options: LogStreamOptions): AsyncGenerator<readonly ServerSentEvent[]> {
  using observed = options.observed
  const following = new AbortController()
  const ended = observed.waitForEnd(undefined, options.signal).then(() => following.abort())
  let after = options.after

  async function* lines(follow: boolean, signal: AbortSignal) {
    for await (const batch of options.logs.read(observed.runId, { after, follow, signal })) {
      after = batch.at(-1)?.sequence ?? after
      yield eventsOf(batch)
    }
  }

  function eventsOf(batch: readonly LogLine[]): readonly ServerSentEvent[] {
    const { run } = observed
    if (run === undefined) throw new Error("A run whose log is followed must be known")
    return batch
      .filter((line) => options.driver === undefined || line.driver === options.driver)
      .map((line) => ({ id: line.sequence, data: options.view(line, run) }))
  }

  yield* lines(true, following.signal)
  await ended
  if (options.signal.aborted) return
  yield* lines(false, options.signal)
  if (options.signal.aborted) return
  yield [{ event: "end", data: { runid: observed.runId, status: observed.run?.status } }]
}
