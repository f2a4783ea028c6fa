import { join } from "node:path"
import { faultOfLog, jsonLines, type LoggedLine, type Note } from "../note-driver.ts"
import type { Witness } from "../witness.ts"
import type { HostSlot } from "./host-slot.ts"

interface JournalOptions {
  readonly folder: string
  readonly slots: readonly HostSlot[]
  readonly witness: Witness
}

/** What is wrong by what the drivers noted: attempts that ran twice, on other pipelines, or whose lines are lost. */
export async function faultsOfJournal({ folder, slots, witness }: JournalOptions): Promise<string[]> {
  const faults: string[] = []
  const file = Bun.file(join(folder, "journal"))
  const notes = (await file.exists()) ? jsonLines<Note>(await file.text()) : []
  const begun = new Set<string>()
  const paid = new Map<string, string>()
  const byRun = new Map<string, Note[]>()
  for (const note of notes) {
    const { run, step, attempt, token, edit, word } = note
    const named = `${run}/${step}#${attempt}`
    byRun.set(run, [...(byRun.get(run) ?? []), note])
    if (word === "begun") {
      if (begun.has(named)) faults.push(`${named} was run twice`)
      begun.add(named)
      const pinned = witness.pipelineOf(run)?.metadata["edit"]
      if (edit !== pinned) faults.push(`${named} ran edit ${edit} of its pipeline, not ${pinned}`)
    }
    const steps = witness.pipelineOf(run)?.steps ?? []
    if (word === "done" && steps.find(({ id }) => id === step)?.effects === "once") {
      const other = paid.get(`${run}/${step}`)
      if (other !== undefined && other !== token)
        faults.push(`${run}/${step} took effect as ${other} and as ${token}`)
      paid.set(`${run}/${step}`, token)
    }
  }
  for (const [run, ofRun] of byRun) faults.push(...(await faultsOfLogs(run, { notes: ofRun, slots })))
  return faults
}

/** Each attempt's lines are on one of the hosts, all of them, in their order. */
async function faultsOfLogs(
  run: string,
  { notes, slots }: { readonly notes: readonly Note[]; readonly slots: readonly HostSlot[] },
): Promise<string[]> {
  const faults: string[] = []
  const attempts = Map.groupBy(notes, ({ step, attempt }) => `${step}#${attempt}`)
  const found = new Set<string>()
  for (const { data } of slots) {
    const file = Bun.file(join(data, "logs", `${run}.jsonl`))
    if (!(await file.exists())) continue
    const lines = jsonLines<LoggedLine>(await file.text())
    const here = new Set(lines.map(({ step, attempt }) => `${step}#${attempt}`))
    const own = [...attempts].filter(([name]) => here.has(name))
    for (const [name] of own) found.add(name)
    const fault = faultOfLog(
      lines,
      own.flatMap(([, ofAttempt]) => ofAttempt),
    )
    if (fault !== undefined) faults.push(`in the log of run ${run} in ${data}, ${fault}`)
  }
  for (const [name, ofAttempt] of attempts) {
    const isLogged = ofAttempt.some(({ word }) => word.startsWith("line"))
    if (isLogged && !found.has(name)) faults.push(`the log of ${run}/${name} is nowhere`)
  }
  return faults
}
