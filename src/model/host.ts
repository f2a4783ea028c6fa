import type { DriverDescription } from "./driver.ts"
import type { Fault } from "./fault.ts"
import type { Labels } from "./labels.ts"

/** One running Conveyor process, as it describes itself in the store for as long as its lease lives. */
export interface HostRecord {
  readonly hostId: string
  /** The id of its data folder. It stays from start to start, while each start is a host with an id of its own. */
  readonly folder: string
  readonly version: string
  readonly startedAt: string
  /** Where the other hosts reach its API, such as `http://10.0.0.7:8080`; absent when it serves none. */
  readonly url?: string
  /** What pipelines may ask for with `host`. */
  readonly labels: Labels
  /** Attempts running there when the record was written, at most a third of the lease's TTL ago; and how many may. */
  readonly load: { readonly attempts: number; readonly attemptsMax: number }
  readonly drivers: readonly DriverDescription[]
  /** What is wrong in its drivers folder now. The last good version of such a driver still serves. */
  readonly driverFaults: readonly Fault[]
}
