import { readFileSync } from "node:fs"
import type { RunningProcess } from "../model/explanation.ts"
import { type AttemptName, attemptToken, findProcesses } from "./process-marks.ts"

/** How much of a command is told. */
const commandLengthMax = 120
const noGroups: ReadonlySet<number> = new Set()

/**
 * What runs on this machine now of an attempt, wherever it went: see process-marks.ts. Undefined where processes cannot be
 * looked up.
 */
export function processesOf(attempt: AttemptName): readonly RunningProcess[] | undefined {
  if (process.platform !== "linux") return undefined
  const pids = findProcesses({ type: "attempt", token: attemptToken(attempt), groups: noGroups })
  return pids.flatMap((pid) => {
    const command = commandOf(pid)
    return command === "" ? [] : [{ pid, command }]
  })
}

/** Nothing for one that is gone by now. */
function commandOf(pid: number): string {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replace(/\0$/, "").replaceAll("\0", " ")
    return command.length > commandLengthMax ? `${command.slice(0, commandLengthMax)}…` : command
  } catch {
    return ""
  }
}
