import { LogPosition } from "../model/log-position.ts"
import type { Run, StepState } from "../model/run.ts"
import { prefixes, runKey } from "../store/keys.ts"
import { describeAbsence, placesOf } from "./log-places.ts"
import { mergedLog, type PlacedLine } from "./merged-log.ts"
import type { Page } from "./paging.ts"
import { invalidQuery } from "./request.ts"
import type { ApiContext } from "./route.ts"
import { parseRun, statesOf } from "./runs.ts"

/** The most runs whose logs are looked at for one page; the page then is short. */
const scannedMax = 500

export interface LogSearch {
  readonly page: Page
  readonly runId: string | undefined
  readonly driver: string | undefined
  readonly pipeline: string | undefined
  readonly signal: AbortSignal
}

/** A line and the run it belongs to. */
export type FoundLine = readonly [placed: PlacedLine, run: Run]

export interface FoundLines {
  readonly lines: readonly FoundLine[]
  /** The cursor of the next page. */
  readonly next: string | undefined
  /** What could not be looked at, a sentence for each place. */
  readonly missing: readonly string[]
}

/**
 * A page of lines, oldest run first, each run's in order. The cursor is `<runId>:<position>`, or `<runId>:end` behind the
 * run; within one run the position alone does too.
 */
export async function findLines(context: ApiContext, search: LogSearch): Promise<FoundLines> {
  const { limit } = search.page
  const from = cursorOf(search)
  const lines: FoundLine[] = []
  const missing = new Map<string, string>()
  const { runs, more } = await runsToSearch(context, search, from)
  for (const run of runs) {
    if (search.pipeline !== undefined && run.pipeline?.name !== search.pipeline) continue
    const position = (run.runId === from?.runId ? from.position : undefined) ?? new LogPosition()
    for await (const news of linesOf(context, { run, position, signal: search.signal })) {
      if (news.type === "away") {
        missing.set(news.folder, missing.has(news.folder) ? news.reason : news.message)
        continue
      }
      for (const placed of news.lines) {
        if (search.driver !== undefined && placed.line.driver !== search.driver) continue
        if (lines.length === limit) return { lines, next: lastCursor(lines), missing: [...missing.values()] }
        lines.push([placed, run])
      }
    }
  }
  return { lines, next: more ? `${runs.at(-1)?.runId}:end` : undefined, missing: [...missing.values()] }
}

/** The lines of a run that there are now; of a place that cannot be read, what it holds. */
async function* linesOf(
  context: ApiContext,
  {
    run,
    position,
    signal,
  }: { readonly run: Run; readonly position: LogPosition; readonly signal: AbortSignal },
) {
  const places = placesOf(context, run)
  const isHere = places.every(({ folder }) => folder === context.folder)
  const states = isHere ? new Map<string, StepState>() : await statesOf(context, run.runId)
  const news = mergedLog(context, {
    runId: run.runId,
    places: () => places,
    stateOf: (stepId) => states.get(stepId),
    position,
    follow: false,
    insist: false,
    signal,
  })
  for await (const each of news) {
    if (each.type === "lines") yield each
    else {
      const { place, message: reason } = each
      const folder = places[place]?.folder ?? ""
      yield { type: "away", folder, reason, message: describeAbsence(reason, place, states) } as const
    }
  }
}

interface Cursor {
  readonly runId: string
  /** Undefined: behind its last line. */
  readonly position: LogPosition | undefined
}

function cursorOf({ page, runId }: LogSearch): Cursor | undefined {
  if (page.after === undefined) return undefined
  const match = /^(?:([0-9a-f-]{36}):)?(end|[\d.]+)$/.exec(page.after)
  const of = match?.[1] ?? runId
  const position = LogPosition.parse(match?.[2] ?? "")
  if (of === undefined || (position === undefined && match?.[2] !== "end")) {
    throw invalidQuery("after", "Expected a cursor from a page before, or the sequence of a line of a run")
  }
  return { runId: of, position }
}

function lastCursor(lines: readonly FoundLine[]): string | undefined {
  const last = lines.at(-1)?.[0]
  return last === undefined ? undefined : `${last.line.runId}:${last.position}`
}

async function runsToSearch(
  { store }: ApiContext,
  search: LogSearch,
  from: Cursor | undefined,
): Promise<{ runs: readonly Run[]; more: boolean }> {
  if (search.runId !== undefined) {
    const entry = await store.get(runKey(search.runId))
    return { runs: entry === undefined ? [] : [parseRun(entry)], more: false }
  }
  const first = from?.position === undefined ? undefined : await store.get(runKey(from.runId))
  const { entries } = await store.list(prefixes.runHeaders, {
    limit: scannedMax,
    ...(from === undefined ? {} : { after: runKey(from.runId) }),
  })
  const runs = entries.map(parseRun)
  return {
    runs: first === undefined ? runs : [parseRun(first), ...runs],
    more: entries.length === scannedMax,
  }
}
