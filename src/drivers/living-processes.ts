import { readFileSync } from "node:fs"
import type { RunningProcess } from "../model/running-process.ts"
import { shortened } from "../model/shortened.ts"
import { type AttemptName, attemptToken, findProcessesOfRun } from "./process-marks.ts"

/** How much of a command is told. */
const commandLengthMax = 120

/** Tells what runs of one attempt. */
export type ProcessesOfAttempt = (attempt: Omit<AttemptName, "runId">) => readonly RunningProcess[]

/**
 * What runs on this machine now of the attempts of a run, wherever it went: see process-marks.ts. Undefined where processes
 * cannot be looked up.
 */
export function processesOf(runId: string): ProcessesOfAttempt | undefined {
  if (process.platform !== "linux") return undefined
  const found = Map.groupBy(findProcessesOfRun(runId), ({ token }) => token)
  return (attempt) =>
    (found.get(attemptToken({ runId, ...attempt })) ?? []).flatMap(({ pid }) => {
      const command = commandOf(pid)
      return command === "" ? [] : [{ pid, command }]
    })
}

/** In one line. Nothing for one that is gone by now. */
function commandOf(pid: number): string {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replace(/[\0\s]+/g, " ")
    return shortened(command.trim(), commandLengthMax)
  } catch {
    return ""
  }
}
