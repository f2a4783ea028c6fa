import type { AttemptResult } from "../model/driver.ts"
import { attemptContext } from "./attempt-context.ts"
import type { Surroundings, Work } from "./attempt-run.ts"
import { splitMessage } from "./lines.ts"
import type { ThreadPool } from "./pool.ts"
import { failure } from "./result.ts"
import type { DriverThread } from "./thread.ts"

/** Runs an attempt in a worker of this pool. */
export function startModuleWork(pool: ThreadPool, { attempt, log, processes, defer }: Surroundings): Work {
  let thread: DriverThread | undefined
  const stopped = Promise.withResolvers<AttemptResult>()

  async function runIn(acquired: DriverThread): Promise<AttemptResult> {
    thread = acquired
    const result = await acquired.run(attemptContext(attempt), {
      log: (message) => log.write("log", splitMessage(message)),
      exec: processes.exec,
      defer,
    })
    pool.release(acquired)
    if (acquired.ended) await acquired.gone
    return result
  }

  /** Waits for a worker, but not after the attempt was told to end: then the worker goes back unused. */
  async function runWhenFree(free: Promise<DriverThread>): Promise<AttemptResult> {
    let isStopped = false
    const ran = free.then((acquired) => {
      if (!isStopped) return runIn(acquired)
      pool.release(acquired)
      return stopped.promise
    })
    void stopped.promise.then(() => {
      isStopped = thread === undefined
    })
    return Promise.race([ran, stopped.promise.then((result) => (thread === undefined ? result : ran))])
  }

  const acquired = pool.acquire()
  return {
    outcome: acquired instanceof Promise ? runWhenFree(acquired) : runIn(acquired),
    abort(message) {
      if (thread === undefined) stopped.resolve(failure(message))
      else thread.abort(message)
    },
    kill: (message) => thread?.end(message),
  }
}
