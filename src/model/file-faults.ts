import type { Fault } from "./fault.ts"

/** What is wrong in one file of the pipelines folder now. In the store for as long as it is so. */
export interface FileFaults {
  /** Relative to the pipelines folder, with "/" between its parts. */
  readonly file: string
  /** The pipelines and resource definitions it declares, as far as it can be read, and those it owns. Sorted. */
  readonly names: readonly string[]
  /** At least one. The last good version of what the file owns serves meanwhile. */
  readonly faults: readonly Fault[]
}
