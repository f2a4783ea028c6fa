/** Bounds how many tasks run at the same time; the others wait their turn, first come first served. */
export function slots(countMax: number): <T>(task: () => Promise<T>) => Promise<T> {
  let free = countMax
  const waiting: (() => void)[] = []
  return async (task) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await task()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}
