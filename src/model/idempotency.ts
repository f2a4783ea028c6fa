/**
 * What a request with a key of the client's own was answered, written by the commit that did what was asked for: a
 * repeat is answered the same and does nothing. Never changed; replaced when the key is used anew.
 */
export interface IdempotencyRecord {
  /** The run that was started; absent when none was. */
  readonly runId?: string
  /** The body of the answer. */
  readonly response: StartedAnswer
  /** Of the request's body as it was understood: a repeat with another one is refused. */
  readonly bodyHash: string
  /** ISO 8601. */
  readonly createdAt: string
}

/** The answer to a request that may start a run: what every one of them says, and more. */
export interface StartedAnswer {
  /** Empty when no run has started. */
  readonly runid: string
  readonly message: string
}

/** How long a key is remembered. From then on it is as good as new, and its record may be deleted. */
export const idempotencyKeptMs = 24 * 3_600_000

/** Is the record of a key still to be heeded? */
export function isRemembered({ createdAt }: IdempotencyRecord, now: Date): boolean {
  return now.getTime() - Date.parse(createdAt) < idempotencyKeptMs
}
