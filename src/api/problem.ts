import { ConveyorError, type ErrorCode } from "../errors.ts"
import { describeFault, type Fault } from "../model/fault.ts"
import { didYouMean } from "../model/nearest.ts"

/** What only HTTP can get wrong; all else is in the table of errors.ts. */
const httpProblems = {
  MALFORMED: { status: 400, title: "The request cannot be read" },
  FORBIDDEN: { status: 403, title: "The request is refused" },
  METHOD_NOT_ALLOWED: { status: 405, title: "The method is not allowed here" },
  BUG: { status: 500, title: "Something went wrong inside" },
} as const satisfies Record<string, { status: number; title: string }>

/** An error of HTTP itself, thrown by a handler and answered by {@link problemOf}. */
export class HttpError extends Error {
  readonly code: keyof typeof httpProblems

  constructor(code: keyof typeof httpProblems, message: string) {
    super(message)
    this.name = "HttpError"
    this.code = code
  }
}

/** The body of an error: RFC 9457, with `error` for older clients. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  /** This very case, for people. */
  readonly detail: string
  /** The path that was asked for. */
  readonly instance: string
  readonly code: ErrorCode | keyof typeof httpProblems
  /** The detail and its faults in one string: what older clients show. */
  readonly error: string
  readonly faults?: readonly Fault[]
}

/**
 * The answer to anything that was thrown. Only a {@link ConveyorError} and an {@link HttpError} tell what happened;
 * of a bug the answer tells nothing.
 */
export function problemOf(thrown: unknown, request: Request, headers: Record<string, string> = {}): Response {
  const problem = describe(thrown, pathOf(request))
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { ...headers, "content-type": "application/problem+json" },
  })
}

/** Is it something the caller can act on, rather than a bug? */
export function isExpected(thrown: unknown): thrown is ConveyorError | HttpError {
  return thrown instanceof ConveyorError || thrown instanceof HttpError
}

/** "There is no <what> named …", with the nearest name that exists. */
export function notFound(what: string, name: string, nearest?: string): ConveyorError {
  return new ConveyorError("NOT_FOUND", `There is no ${what} ${JSON.stringify(name)}${didYouMean(nearest)}`)
}

function describe(thrown: unknown, instance: string): Problem {
  if (!isExpected(thrown)) return describe(new HttpError("BUG", "The host has logged what it was"), instance)
  const { status, title } = thrown instanceof ConveyorError ? thrown : httpProblems[thrown.code]
  const faults = thrown instanceof ConveyorError ? thrown.faults : []
  return {
    type: "about:blank",
    title,
    status,
    detail: thrown.message,
    instance,
    code: thrown.code,
    error: [thrown.message, ...faults.slice(0, 10).map(describeFault)].join("; "),
    ...(faults.length === 0 ? {} : { faults }),
  }
}

function pathOf(request: Request): string {
  const path = request.url.slice(request.url.indexOf("/", 8))
  return path.split("?", 1)[0] as string
}
