import type { LogStream, UnwrittenLogLine } from "../model/log.ts"
import type { Attempt } from "./driver-host.ts"

/** The log of one attempt. */
export interface AttemptLog {
  /** Adds lines after all that were added before. Resolves when they are durable. Never rejects. */
  write(stream: LogStream, messages: readonly string[]): Promise<void>
  /** Resolves when every line added so far is durable. */
  settled(): Promise<void>
}

/**
 * Hands an attempt's lines to its `log` in order, one hand-over at a time: what comes while one is under way goes with
 * the next, so a chatty driver makes few and large hand-overs.
 */
export function createAttemptLog(attempt: Attempt): AttemptLog {
  let lines: UnwrittenLogLine[] = []
  let active: Promise<void> | undefined
  let next: Promise<void> | undefined

  async function handOver(after: Promise<void> | undefined): Promise<void> {
    await after
    active = next
    next = undefined
    const batch = lines
    lines = []
    await attempt.log(batch)
  }

  return {
    write(stream, messages) {
      const at = new Date().toISOString()
      const { stepId: step, attempt: number, driver } = attempt
      for (const message of messages) {
        lines.push({ at, step, attempt: number, driver: driver.name, stream, message })
      }
      next ??= handOver(active)
      return next
    },
    settled: () => next ?? active ?? Promise.resolve(),
  }
}
