import type { Run } from "../model/run.ts"
import { activeRunKey, claimsPrefix, prefixes, runKey, stepsPrefix } from "../store/keys.ts"
import { type Guard, operationsMax, type Write } from "../store/store.ts"
import { pages, type Seen, type Sweep } from "./sweep.ts"

/** An ended run: its header as it was seen. */
interface EndedRun extends Seen {
  readonly runId: string
}

/** Runs whose records are read at the same time. */
const parallelMax = 16
/** Records of one run deleted at once. The header goes with the last of them. */
const recordsMax = 50

/**
 * Deletes ended runs that are too old, and the oldest of those that are too many. The header of a run goes last, so a
 * pass that breaks off leaves nothing that the next one does not find. Answers how many runs are gone.
 */
export async function collectRuns(sweep: Sweep): Promise<number> {
  const { keepRunsForMs, keepRunsMax } = sweep.limits
  const kept: EndedRun[] = []
  let removed = 0
  for await (const { entries } of pages(sweep, prefixes.runHeaders)) {
    const doomed: EndedRun[] = []
    for (const { key, value, modRevision } of entries) {
      const run = JSON.parse(value) as Run
      if (!("finishedAt" in run)) continue
      const old = sweep.at.wallMs - Date.parse(run.finishedAt) > keepRunsForMs
      const list = old ? doomed : kept
      list.push({ runId: run.runId, key, modRevision })
    }
    // Headers come in the order in which runs were made: the first of those kept are the oldest.
    doomed.push(...kept.splice(0, Math.max(0, kept.length - keepRunsMax)))
    removed += await removeRuns(sweep, doomed)
  }
  return removed
}

async function removeRuns(sweep: Sweep, doomed: readonly EndedRun[]): Promise<number> {
  let removed = 0
  const queue = [...doomed]
  while (queue.length > 0) {
    const removals = await Promise.all(queue.splice(0, parallelMax).map((run) => removalOf(sweep, run)))
    for (const group of inCommits(removals)) {
      const guards = [sweep.fence, ...group.map(({ guard }) => guard)]
      const done = await sweep.store.commit(
        guards,
        group.flatMap(({ writes }) => writes),
      )
      if (done === undefined) continue
      removed += group.filter(({ isWhole }) => isWhole).length
      queue.push(...group.flatMap(({ isWhole, run }) => (isWhole ? [] : [run])))
    }
    await sweep.pause()
  }
  return removed
}

/** What deletes a run, or a part of its records when it has too many for one commit. */
interface Removal {
  readonly run: EndedRun
  readonly guard: Guard
  readonly writes: readonly Write[]
  readonly isWhole: boolean
}

async function removalOf({ store }: Sweep, run: EndedRun): Promise<Removal> {
  const { runId, key, modRevision } = run
  const [steps, claims] = await Promise.all([
    store.list(stepsPrefix(runId), { limit: recordsMax }),
    store.list(claimsPrefix(runId), { limit: recordsMax }),
  ])
  const keys = [...steps.entries, ...claims.entries].map((entry) => entry.key)
  const isWhole = steps.entries.length < recordsMax && claims.entries.length < recordsMax
  if (isWhole) keys.push(activeRunKey(runId), runKey(runId))
  return {
    run,
    guard: { key, modRevision },
    writes: keys.map((name) => ({ type: "delete", key: name })),
    isWhole,
  }
}

/** As many removals to a commit as it may hold, beside the fence. */
function inCommits(removals: readonly Removal[]): readonly (readonly Removal[])[] {
  const groups: Removal[][] = []
  let operations = operationsMax
  for (const removal of removals) {
    const size = 1 + removal.writes.length
    if (operations + size > operationsMax) {
      groups.push([])
      operations = 1
    }
    groups.at(-1)?.push(removal)
    operations += size
  }
  return groups
}
