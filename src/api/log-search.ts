import type { LogLine } from "../model/log.ts"
import type { Run } from "../model/run.ts"
import { prefixes, runKey } from "../store/keys.ts"
import type { Page } from "./paging.ts"
import { invalidQuery } from "./request.ts"
import type { ApiContext } from "./route.ts"
import { parseRun } from "./runs.ts"

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
export type FoundLine = readonly [line: LogLine, run: Run]

/**
 * A page of lines, oldest run first, each run's in order. The cursor is `<runId>:<sequence>`; within one run
 * the sequence alone does too.
 */
export async function findLines(
  context: ApiContext,
  search: LogSearch,
): Promise<{ lines: readonly FoundLine[]; next: string | undefined }> {
  const { limit } = search.page
  const from = cursorOf(search)
  const lines: FoundLine[] = []
  const { runs, more } = await runsToSearch(context, search, from?.runId)
  for (const run of runs) {
    if (search.pipeline !== undefined && run.pipeline?.name !== search.pipeline) continue
    const after = run.runId === from?.runId ? from.sequence : 0
    for await (const batch of context.logs.read(run.runId, { after, signal: search.signal })) {
      for (const line of batch) {
        if (search.driver !== undefined && line.driver !== search.driver) continue
        if (lines.length === limit) return { lines, next: lastCursor(lines) }
        lines.push([line, run])
      }
    }
  }
  return { lines, next: more ? `${runs.at(-1)?.runId}:${Number.MAX_SAFE_INTEGER}` : undefined }
}

interface Cursor {
  readonly runId: string
  readonly sequence: number
}

function cursorOf({ page, runId }: LogSearch): Cursor | undefined {
  if (page.after === undefined) return undefined
  const match = /^(?:([0-9a-f-]{36}):)?(\d{1,16})$/.exec(page.after)
  const of = match?.[1] ?? runId
  if (match === null || of === undefined) {
    throw invalidQuery("after", "Expected a cursor from a page before, or the sequence of a line of a run")
  }
  return { runId: of, sequence: Number(match[2]) }
}

function lastCursor(lines: readonly FoundLine[]): string | undefined {
  const last = lines.at(-1)?.[0]
  return last === undefined ? undefined : `${last.runId}:${last.sequence}`
}

async function runsToSearch(
  { store }: ApiContext,
  search: LogSearch,
  from: string | undefined,
): Promise<{ runs: readonly Run[]; more: boolean }> {
  if (search.runId !== undefined) {
    const entry = await store.get(runKey(search.runId))
    return { runs: entry === undefined ? [] : [parseRun(entry)], more: false }
  }
  const first = from === undefined ? undefined : await store.get(runKey(from))
  const { entries } = await store.list(prefixes.runHeaders, {
    limit: scannedMax,
    ...(from === undefined ? {} : { after: runKey(from) }),
  })
  const runs = entries.map(parseRun)
  return {
    runs: first === undefined ? runs : [parseRun(first), ...runs],
    more: entries.length === scannedMax,
  }
}
