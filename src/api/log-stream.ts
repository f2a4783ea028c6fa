import type { LogPosition } from "../model/log-position.ts"
import type { FollowedRun } from "./followed-run.ts"
import { describeAbsence, placesOf } from "./log-places.ts"
import { absenceView, lineView } from "./log-view.ts"
import { type LogNews, mergedLog } from "./merged-log.ts"
import type { ApiContext } from "./route.ts"
import type { ServerSentEvent } from "./sse.ts"

export interface LogStreamOptions {
  /** A run that is known; disposed at the end. */
  readonly observed: FollowedRun
  /** Where the client is; it moves with what is sent. */
  readonly position: LogPosition
  /** Only lines of this driver. */
  readonly driver: string | undefined
  readonly signal: AbortSignal
}

/**
 * The lines of a run's log as messages whose id is the position: what is there, then what comes; when the run has ended
 * and all its lines are sent, `end` with its status. The position only moves with lines that were sent, so going from
 * following to draining neither loses nor repeats one.
 */
export async function* logEvents(
  context: ApiContext,
  options: LogStreamOptions,
): AsyncGenerator<readonly ServerSentEvent[]> {
  using observed = options.observed
  const following = new AbortController()
  const ended = observed.waitForEnd(undefined, options.signal).then(() => following.abort())
  const told = new Set<string>()

  async function* events(follow: boolean, signal: AbortSignal) {
    const news = mergedLog(context, {
      runId: observed.runId,
      places: () => placesOf(context, runOf(observed)),
      stateOf: (stepId) => observed.stateOf(stepId),
      position: options.position,
      follow,
      insist: true,
      signal,
      ...(follow ? { watch: (onChange, until) => void watchRun(observed, onChange, until) } : {}),
    })
    for await (const each of news) yield eventsOf(each)
  }

  function eventsOf(news: LogNews): readonly ServerSentEvent[] {
    const run = runOf(observed)
    if (news.type === "lines") {
      return news.lines
        .filter(({ line }) => options.driver === undefined || line.driver === options.driver)
        .map((placed) => ({ id: placed.position, data: lineView(placed, run) }))
    }
    if (told.has(news.message)) return []
    told.add(news.message)
    const message = describeAbsence(news.message, news.place, observed.states())
    return [{ data: absenceView(message, run, context.now()) }]
  }

  yield* events(true, following.signal)
  await ended
  if (options.signal.aborted) return
  yield* events(false, options.signal)
  if (options.signal.aborted) return
  yield [{ event: "end", data: { runid: observed.runId, status: observed.run?.status } }]
}

function runOf({ run }: FollowedRun) {
  if (run === undefined) throw new Error("A run whose log is followed must be known")
  return run
}

async function watchRun(observed: FollowedRun, onChange: () => void, signal: AbortSignal): Promise<void> {
  let { version } = observed
  while (!signal.aborted) {
    version = await observed.changedSince(version, signal)
    onChange()
  }
}
