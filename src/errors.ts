import type { Fault } from "./model/fault.ts"

/**
 * Every error a caller can act on, in one closed table. An HTTP status and a process exit code belong to the code,
 * not to the place that throws it, so the API and the CLI cannot disagree about what went wrong.
 *
 * A failed step is not here: it is data (`failed`), and a red pipeline is a successful engine. A bug is not here
 * either: it is an ordinary `Error` that says what must hold.
 */
const codes = {
  INVALID: { status: 422, exit: 2, title: "The input does not validate" },
  NOT_FOUND: { status: 404, exit: 2, title: "There is no such thing" },
  CONFLICT: { status: 409, exit: 2, title: "It conflicts with what is there" },
  TOO_LARGE: { status: 413, exit: 2, title: "It is over a limit" },
  COMPACTED: { status: 410, exit: 1, title: "That part of the history is gone" },
  DATA_IN_USE: { status: 503, exit: 3, title: "Another process uses the data folder" },
  STORE_UNAVAILABLE: { status: 503, exit: 3, title: "The store does not answer" },
  STORE_CORRUPT: { status: 503, exit: 3, title: "The store cannot be read" },
  HOST_GONE: { status: 503, exit: 3, title: "The host that has it does not answer" },
  SHUTTING_DOWN: { status: 503, exit: 1, title: "The host is stopping" },
  SERVER_UNREACHABLE: { status: 502, exit: 3, title: "The server does not answer" },
  USAGE: { status: 400, exit: 2, title: "The command line is not understood" },
} as const satisfies Record<string, { status: number; exit: number; title: string }>

export type ErrorCode = keyof typeof codes

/** An error the caller can act on. `cause` is kept whenever there is one. */
export class ConveyorError extends Error {
  readonly code: ErrorCode
  readonly faults: readonly Fault[]

  constructor(
    code: ErrorCode,
    message: string,
    options: { faults?: readonly Fault[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = "ConveyorError"
    this.code = code
    this.faults = options.faults ?? []
  }

  /** The HTTP status of this code. */
  get status(): number {
    return codes[this.code].status
  }

  /** The process exit code of this code. Never 0, and never the 1 of a run that failed unless it means just that. */
  get exit(): number {
    return codes[this.code].exit
  }

  /** The same sentence for every error of this code (RFC 9457 `title`). */
  get title(): string {
    return codes[this.code].title
  }
}

/** Does it say that the store cannot be used now? It may be again, without a restart. */
export function isStoreFault(thrown: unknown): boolean {
  return (
    thrown instanceof ConveyorError &&
    (thrown.code === "STORE_UNAVAILABLE" || thrown.code === "STORE_CORRUPT")
  )
}

/** The message of anything that was thrown, for a log line or a `cause` that is shown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
