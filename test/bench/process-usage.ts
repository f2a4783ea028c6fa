import { readFile } from "node:fs/promises"

/** Linux counts a process's time in these; the kernel shows user space 100 a second on every architecture. */
const ticksPerSecond = 100

/** User and system seconds that a process, all its threads included, has taken so far. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8")
  // The second field is the command in parentheses and may hold anything; the third begins behind the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** User and system seconds that this process has taken so far. */
export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Resident memory of a process in MB (10^6 bytes). */
export async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8")
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kibibytes === undefined) throw new Error(`the process ${pid} must have resident memory`)
  return (Number(kibibytes) * 1024) / 1e6
}
