/** Where a line came from: the driver's own log, its child processes' output, the engine, or `POST /logs`. */
export const logStreams = ["log", "stdout", "stderr", "engine", "api"] as const
export type LogStream = (typeof logStreams)[number]

/** One line of a run's log, without a line end. */
export interface LogLine {
  /** Counts from 1 within the run in one data folder, without a gap. */
  readonly sequence: number
  /** When it was written, ISO 8601 with milliseconds. */
  readonly at: string
  readonly runId: string
  /** Absent on lines that belong to the run as a whole. */
  readonly step?: string
  readonly attempt?: number
  readonly driver?: string
  readonly stream: LogStream
  readonly message: string
}

/** A line that has no sequence yet: what a writer hands in. */
export type UnwrittenLogLine = Omit<LogLine, "sequence" | "runId">

/**
 * A place where lines of a run's log lie: the data folder of a host that wrote some. `hostId` is the host that came to the
 * run with it; the folder may have another one by now, or none.
 */
export interface LogPlace {
  readonly folder: string
  readonly hostId: string
}

/** The longest message kept, in characters; what is over it is cut, and the line says so. */
export const messageLengthMax = 65_536
