import { readFileSync } from "node:fs"

/** How many bytes of memory a process has in use now (its resident set); 0 for one that is gone. */
export function memoryOf(pid: number): number {
  try {
    const [, pages = "0"] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")
    return Number(pages) * 4_096
  } catch {
    return 0
  }
}
