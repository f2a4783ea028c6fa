import type { Surroundings, Work } from "./attempt-run.ts"
import { startExecutableWork } from "./executable.ts"
import { startModuleWork } from "./module-work.ts"
import { ThreadPool } from "./pool.ts"
import { DriverThread, type ThreadOptions } from "./thread.ts"

/** How the content of each hash is run. What was added stays runnable, served or not, until it is dropped. */
export interface DriverRunners extends Disposable {
  /** A bundle, run in worker threads. Answers its pool, the same one each time for a hash. */
  module(hash: string, file: string): ThreadPool
  /** An executable file. */
  executable(hash: string, place: { readonly file: string; readonly original: string }): void
  /** Starts an attempt's work; undefined when this hash is not known here. */
  find(hash: string): ((surroundings: Surroundings) => Work) | undefined
  /** Forgets a hash that turned out to be no driver, or whose content goes. */
  drop(hash: string): void
  /** Only these hashes serve now: idle threads of all others end, busy ones after their attempt. */
  serve(hashes: ReadonlySet<string>): void
}

export interface RunnersOptions extends Omit<ThreadOptions, "file" | "onHeap"> {
  /** Told that the heap of a worker with this driver was over the limit, and what was done about it. */
  readonly onHeap: (hash: string, message: string) => void
}

/** Makes runners; nothing runs yet. */
export function createDriverRunners(options: RunnersOptions): DriverRunners {
  const pools = new Map<string, ThreadPool>()
  const executables = new Map<string, (surroundings: Surroundings) => Work>()

  function module(hash: string, file: string): ThreadPool {
    let pool = pools.get(hash)
    if (pool === undefined) {
      const onHeap = (message: string) => options.onHeap(hash, message)
      pool = new ThreadPool({ start: () => new DriverThread({ ...options, file, onHeap }) })
      pools.set(hash, pool)
    }
    return pool
  }

  return {
    module,
    executable(hash, place) {
      executables.set(hash, (surroundings) => startExecutableWork(place, surroundings))
    },
    find(hash) {
      const pool = pools.get(hash)
      return pool === undefined
        ? executables.get(hash)
        : (surroundings) => startModuleWork(pool, surroundings)
    },
    drop(hash) {
      pools.get(hash)?.[Symbol.dispose]()
      pools.delete(hash)
      executables.delete(hash)
    },
    serve(hashes) {
      for (const [hash, pool] of pools) {
        if (hashes.has(hash)) pool.unretire()
        else pool.retire()
      }
    },
    [Symbol.dispose]() {
      for (const pool of pools.values()) pool[Symbol.dispose]()
      pools.clear()
    },
  }
}
