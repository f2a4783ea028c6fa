import { findProcesses } from "./process-marks.ts"

/** How long after SIGKILL a process that cannot be killed (stuck in the kernel) is waited for. */
const killedMsMax = 10_000
const pollMsMax = 25

/**
 * Ends processes: SIGTERM to all that `survivors` finds, SIGKILL to what is left at `deadline` (of
 * `performance.now()`), and looks again until none is found, because a dying process may still start others.
 * Answers the ids of those that even SIGKILL did not end in time.
 */
export async function endProcesses(
  survivors: () => readonly number[],
  { deadline }: { readonly deadline: () => number },
): Promise<readonly number[]> {
  const asked = new Set<number>()
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, pollMsMax)) {
    const alive = survivors()
    if (alive.length === 0) return []
    const late = performance.now() - deadline()
    if (late >= killedMsMax) return alive
    for (const pid of alive) {
      if (late >= 0) killNow(pid)
      else if (!asked.has(pid)) askToEnd(pid)
      asked.add(pid)
    }
    await Bun.sleep(waitMs)
  }
}

/** SIGTERM, and SIGCONT so that a stopped process gets to see it. */
export function askToEnd(pid: number): void {
  signal(pid, "SIGTERM")
  signal(pid, "SIGCONT")
}

/** SIGKILL. */
export function killNow(pid: number): void {
  signal(pid, "SIGKILL")
}

/**
 * Ends what attempts of an earlier host on this data folder left running, when that host was killed. Call it while the
 * data folder is held and before the first attempt. Resolves when they are gone.
 */
export async function endOrphans(data: string, { graceMs }: { readonly graceMs: number }): Promise<void> {
  const deadline = performance.now() + graceMs
  await endProcesses(() => findProcesses({ type: "data", data }), { deadline: () => deadline })
}

/** Sends a signal; a process that is gone is what was wanted. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // ESRCH: gone. EPERM: it changed its user, and the next look says whether it still lives.
  }
}
