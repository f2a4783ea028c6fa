import { formatDuration } from "../model/duration.ts"
import type { RunningProcess } from "../model/running-process.ts"
import type { Reason } from "./explanation.ts"
import { listOf } from "./name-list.ts"
import { describePlace } from "./placement-words.ts"

/* What becomes of attempts, as people read it: see explain-words.ts. */

type ReasonOf<Type extends Reason["type"]> = Reason & { readonly type: Type }

/** How a step ended. */
export function describeEnd(reason: ReasonOf<"ended">): string {
  const { status, attempt, hostId, durationMs, result, keptFrom } = reason
  if (attempt === 0) return `${status} before it could start: ${result}`
  const where = hostId === undefined ? "" : ` on ${hostId}`
  const took = durationMs === undefined ? "" : ` after ${formatDuration(durationMs)}`
  const kept = keptFrom === undefined ? "" : ` in run ${keptFrom}, whose result is kept`
  const which = attempt > 1 ? ` at attempt ${attempt}` : ""
  // Some results begin with the status, for they are read without it elsewhere.
  const words = result.startsWith(`${status}: `) || result.startsWith(`${status}; `)
  const why =
    status !== "succeeded" && result !== "" ? `: ${words ? result.slice(status.length + 2) : result}` : ""
  return `${status}${which}${where}${took}${kept}${why}`
}

/** That a failed attempt is made again, and when. */
export function describeTimer({ until, attempt, attemptsMax, lastLine }: ReasonOf<"timer">): string {
  const of = attemptsMax === undefined ? "" : ` of ${attemptsMax}`
  const why = lastLine === undefined ? "" : `; the last thing it logged: ${lastLine}`
  return `attempt ${attempt}${of} failed; the next one starts at ${until}${why}`
}

/** What runs, where, and how long it may; or that it has to end, and what of it is still there. */
export function describeRunning(reason: ReasonOf<"running">): string {
  const { hostId, startedAt, attempt, timeoutAt, probing, calledOff, kill, processes } = reason
  const what = probing === undefined ? "runs" : `finds out how attempt ${probing} ended`
  const which = attempt > 1 && probing === undefined ? ` (attempt ${attempt})` : ""
  if (!calledOff) return `${what} on ${hostId} since ${startedAt}${which}; times out at ${timeoutAt}`
  const how = kill ? "is killed" : "is told to end"
  return `${how} on ${hostId}, where it runs since ${startedAt}${which}, for the run does without it${describeProcesses(processes)}`
}

/** What becomes of an attempt whose host is gone. */
export function describeOrphan(reason: ReasonOf<"orphaned">): string {
  const { hostId, attempt, claimTtlMs, next, place } = reason
  const gone = `attempt ${attempt} was cut off: its host ${hostId} is gone or let it go`
  const when = claimTtlMs === undefined ? "now" : `within ${formatDuration(claimTtlMs)}, when its claim ends`
  if (next === "ends") return `${gone}; it is written off ${when}`
  if (next === "resolution") return `${gone}; it has to be resolved, for no host can find out how it ended`
  return place === undefined
    ? `${gone}; another host takes it up ${when}`
    : `${gone}; nobody can take it up: ${describePlace(place)}`
}

function describeProcesses(processes: readonly RunningProcess[] | undefined): string {
  if (processes === undefined) return ""
  if (processes.length === 0) return "; no process of it is left: its driver has yet to return"
  return `; still there: ${listOf(processes.map(({ pid, command }) => `process ${pid} (${command})`))}`
}
