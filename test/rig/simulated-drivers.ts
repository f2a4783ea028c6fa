import type { Attempt, AttemptAbort } from "../../src/drivers/driver-host.ts"
import type { AttemptResult } from "../../src/model/driver.ts"
import type { JsonObject } from "../../src/model/json.ts"
import { ScriptedDrivers } from "./scripted-drivers.ts"

/** How an attempt goes, if nothing ends it: how long it takes, and what comes of it. */
export interface Course {
  readonly durationMs: number
  readonly result: AttemptResult
  /** How long it takes to end once it is aborted; at most its grace period. */
  readonly endingMs: number
  /** Inputs for its own driver that it puts off to the end of the run, before anything else. */
  readonly defers?: readonly JsonObject[]
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
    let timer: ReturnType<typeof setTimeout> | undefined
    attempt.signal.addEventListener("abort", () => {
      clearTimeout(timer)
      const { message, graceMs = attempt.graceMs } = attempt.signal.reason as AttemptAbort
      setTimeout(() => resolve({ success: false, message }), Math.min(course.endingMs, graceMs))
    })
    for (const input of course.defers ?? []) {
      // One that cannot be written down is an attempt that is over: its end is on its way.
      await Promise.race([attempt.defer(attempt.driver.name, input).catch(() => {}), promise])
    }
    if (!attempt.signal.aborted) timer = setTimeout(() => resolve(course.result), course.durationMs)
    const result = await promise
    onEnd?.(attempt, result)
    return result
  }
}
