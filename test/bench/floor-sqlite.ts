import type { Database } from "bun:sqlite"
import { join } from "node:path"
import { openDatabase } from "../../src/store/sqlite-file.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import type { Values } from "./metrics.ts"
import { ownCpuSeconds } from "./process-usage.ts"
import { median } from "./statistics.ts"
import { type RecordedTransition, transitionsOfRun } from "./transitions.ts"
import { stepsPerRun } from "./workload.ts"

const groupSize = 64
const groups = 32
const aloneRuns = 300
const lease = { id: Bun.randomUUIDv7(), ttlMs: 10_000 }

/**
 * What SQLite takes for the writes of the load, with the host's own table and settings and nothing around it: the runs
 * in groups that share a transaction for each transition, and one run alone with a transaction for each.
 */
export async function measureSqliteFloors(): Promise<Values> {
  await using folder = await tempFolder()
  const db = openDatabase(join(folder.path, "floor.sqlite"), {})
  try {
    const write = writerOf(db)
    return { ...measureGroups(write), ...measureAlone(write) }
  } finally {
    db.close()
  }
}

type Writer = (transitions: readonly RecordedTransition[]) => void

function measureGroups(write: Writer): Values {
  const all = Array.from({ length: groups }, () => runs(groupSize))
  const cpuBefore = ownCpuSeconds()
  const startedAt = performance.now()
  for (const group of all) {
    // The runs of a group keep step with each other, as runs do that wait for the same fsync.
    const transitions = group[0]?.length ?? 0
    for (let index = 0; index < transitions; index++)
      write(group.flatMap((run) => run.slice(index, index + 1)))
  }
  const seconds = (performance.now() - startedAt) / 1_000
  const steps = groups * groupSize * stepsPerRun
  return {
    groupedRuns: (groups * groupSize) / seconds,
    groupedSteps: steps / seconds,
    groupedCpu: ((ownCpuSeconds() - cpuBefore) * 1e6) / steps,
  }
}

function measureAlone(write: Writer): Values {
  const latenciesMs = runs(aloneRuns).map((run) => {
    const startedAt = performance.now()
    for (const transition of run) write([transition])
    return performance.now() - startedAt
  })
  return { aloneMs: median(latenciesMs) }
}

function runs(count: number): (readonly RecordedTransition[])[] {
  return Array.from({ length: count }, () => transitionsOfRun(lease))
}

/** Writes transitions as one transaction, durable when it answers. */
function writerOf(db: Database): Writer {
  const put = db.query(
    `INSERT INTO entries VALUES (?1, ?2, ?3, ?3, ?4)
     ON CONFLICT (key) DO UPDATE SET value = ?2, mod_revision = ?3, lease = ?4`,
  )
  const remove = db.query("DELETE FROM entries WHERE key = ?")
  const setRevision = db.query("UPDATE meta SET revision = ?")
  let revision = 0
  return db.transaction((transitions: readonly RecordedTransition[]) => {
    for (const { writes } of transitions) {
      revision++
      for (const change of writes) {
        if (change.type === "put") put.run(change.key, change.value, revision, change.lease?.id ?? null)
        else remove.run(change.key)
      }
    }
    setRevision.run(revision)
  })
}
