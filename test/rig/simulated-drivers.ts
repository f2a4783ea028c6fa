import type { Attempt, AttemptAbort } from "../../src/drivers/driver-host.ts"
import type { AttemptResult } from "../../src/model/driver.ts"
import { ScriptedDrivers } from "./scripted-drivers.ts"

/** How an attempt goes, if nothing ends it: how long it takes, and what comes of it. */
export interface Course {
  readonly durationMs: number
  readonly result: AttemptResult
  /** How long it takes to end once it is aborted; at most its grace period. */
  readonly endingMs: number
}

export interface SimulatedDriversOptions {
  readonly courseOf: (attempt: Attempt) => Course
  readonly onStart?: (attempt: Attempt) => void
  readonly onEnd?: (attempt: Attempt, result: AttemptResult) => void
}

/** Drivers whose attempts take their course by themselves. */
export class SimulatedDrivers extends ScriptedDrivers {
  readonly #options: SimulatedDriversOptions

  constructor(options: SimulatedDriversOptions) {
    super()
    this.#options = options
  }

  override async run(attempt: Attempt): Promise<AttemptResult> {
    const { courseOf, onStart, onEnd } = this.#options
    onStart?.(attempt)
    const course = courseOf(attempt)
    const { promise, resolve } = Promise.withResolvers<AttemptResult>()
    const timer = setTimeout(() => resolve(course.result), course.durationMs)
    attempt.signal.addEventListener("abort", () => {
      clearTimeout(timer)
      const { message, graceMs = attempt.graceMs } = attempt.signal.reason as AttemptAbort
      setTimeout(() => resolve({ success: false, message }), Math.min(course.endingMs, graceMs))
    })
    const result = await promise
    onEnd?.(attempt, result)
    return result
  }
}
