import type { DriverDescription } from "./driver.ts"
import type { Fault } from "./fault.ts"
import type { Labels } from "./labels.ts"

/** One running Conveyor process, as it describes itself in the store for as long as its lease lives. */
export interface HostRecord {
  readonly hostId: string
  readonly version: string
  readonly startedAt: string
  /** Where its API answers, such as `http://127.0.0.1:8080`; absent when it serves none. */
  readonly url?: string
  /** What pipelines may ask for with `host`. */
  readonly labels: Labels
  /** Attempts running there when the record was written, at most a third of the lease's TTL ago; and how many may. */
  readonly load: { readonly attempts: number; readonly attemptsMax: number }
  readonly drivers: readonly DriverDescription[]
  /** What is wrong in its drivers folder now. The last good version of such a driver still serves. */
  readonly driverFaults: readonly Fault[]
}
