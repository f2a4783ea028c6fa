import { readdirSync, readFileSync } from "node:fs"

/*
 * Every child process carries marks in its environment, which its own children inherit: the attempt and the data folder
 * it belongs to. So a process that left its group (setsid, a daemon) is still found, and what outlived
 * a killed host is found by the next one. A process that empties its environment on purpose escapes.
 *
 * A mark is a list, one entry per line: a Conveyor that runs inside an attempt of another adds to what it inherited.
 *
 * Processes can be looked up this way on Linux only; elsewhere nothing is found.
 */
const attemptMark = "CONVEYOR_ATTEMPT"
const dataMark = "CONVEYOR_ATTEMPT_DATA"

/** One attempt, among all there ever are. */
export interface AttemptName {
  readonly runId: string
  readonly stepId: string
  readonly attempt: number
}

/** What marks the processes of an attempt. */
export function attemptToken({ runId, stepId, attempt }: AttemptName): string {
  return `${runId}/${stepId}/${attempt}`
}

/** What a process must have to be meant. */
export type ProcessMatch =
  | { readonly type: "attempt"; readonly token: string; readonly groups: ReadonlySet<number> }
  | { readonly type: "data"; readonly data: string }

/**
 * The environment of a child process of an attempt: the host's, then `extra` (undefined removes a variable), then the
 * marks. What would turn the executable into Bun is taken out.
 */
export function childEnvironment({
  token,
  data,
  extra = {},
}: {
  readonly token: string
  readonly data: string
  readonly extra?: { readonly [name: string]: string | undefined }
}): Record<string, string> {
  const all = { ...process.env, BUN_BE_BUN: undefined, BUN_OPTIONS: undefined, ...extra }
  const environment: Record<string, string> = {}
  for (const [name, value] of Object.entries(all)) if (value !== undefined) environment[name] = value
  return { ...environment, ...marksOf({ token, data }) }
}

/** The marks alone. The token is that of an attempt, or of a worker, whose driver may start processes by itself. */
export function marksOf({ token, data }: { readonly token: string; readonly data: string }) {
  return {
    [attemptMark]: added(process.env[attemptMark], token),
    [dataMark]: added(process.env[dataMark], data),
  }
}

function added(inherited: string | undefined, entry: string): string {
  return inherited === undefined || inherited === "" ? entry : `${inherited}\n${entry}`
}

/**
 * The living processes that match, this one never among them. With `sincePid` only those started after it are looked
 * at, which is much cheaper; it must have been started a short time ago, because process ids start over.
 */
export function findProcesses(match: ProcessMatch, sincePid?: number): number[] {
  if (process.platform !== "linux") return []
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger)
  const isCandidate = sincePid === undefined ? () => true : startedSince(sincePid)
  return pids.filter((pid) => pid !== process.pid && isCandidate(pid) && isMeant(pid, match))
}

/** The living processes of all attempts of a run, with the marks of these attempts: see {@link attemptToken}. */
export function findProcessesOfRun(
  runId: string,
): readonly { readonly pid: number; readonly token: string }[] {
  if (process.platform !== "linux") return []
  const start = `${runId}/`
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger)
  return pids.flatMap((pid) => {
    try {
      const tokens = entriesOf(pid, attemptMark, start).filter((entry) => entry.startsWith(start))
      return pid === process.pid ? [] : tokens.map((token) => ({ pid, token }))
    } catch {
      // It is gone by now, or belongs to someone else.
      return []
    }
  })
}

function startedSince(first: number): (pid: number) => boolean {
  const last = Number(readFileSync("/proc/loadavg", "utf8").trim().split(" ").at(-1))
  return last >= first ? (pid) => pid >= first : (pid) => pid >= first || pid <= last
}

function isMeant(pid: number, match: ProcessMatch): boolean {
  try {
    if (match.type === "data") return hasEntry(pid, { mark: dataMark, entry: match.data })
    return isLivingMember(pid, match.groups) || hasEntry(pid, { mark: attemptMark, entry: match.token })
  } catch {
    // It is gone by now, or belongs to someone else.
    return false
  }
}

function isLivingMember(pid: number, groups: ReadonlySet<number>): boolean {
  if (groups.size === 0) return false
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
  // The name in parentheses may hold anything; after it come state, parent, group.
  const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return state !== "Z" && state !== "X" && groups.has(Number(group))
}

function hasEntry(pid: number, { mark, entry }: { readonly mark: string; readonly entry: string }): boolean {
  return entriesOf(pid, mark, entry).includes(entry)
}

/** The entries of a mark; none for a process whose environment does not hold `text` anywhere, which is told fast. */
function entriesOf(pid: number, mark: string, text: string): readonly string[] {
  const environment = readFileSync(`/proc/${pid}/environ`)
  if (!environment.includes(text)) return []
  const variable = environment
    .toString("utf8")
    .split("\0")
    .find((each) => each.startsWith(`${mark}=`))
  return variable?.slice(mark.length + 1).split("\n") ?? []
}
