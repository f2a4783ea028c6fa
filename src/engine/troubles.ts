import type { Logger } from "pino"
import { isStoreFault } from "../errors.ts"

/** A store that failed again after no longer than this has not been well between: on a full disk some commits work. */
const outageGapMs = 10_000
/** How long the store may refuse what is to be written, until whoever stops need not wait for it any more. */
const refusedMsMax = 1_000

export interface TroublesOptions {
  readonly log: Logger
  /** Without a lease nothing may be written: claims have ended with it. */
  readonly mayWrite: () => boolean
}

/** Says what went wrong with runs. An outage of the store is one line, however many runs it holds up. */
export class Troubles {
  readonly #options: TroublesOptions
  readonly #waiting: (() => void)[] = []
  /** When the store last did not answer, by the monotonic clock. */
  #awayAt = Number.NEGATIVE_INFINITY

  constructor(options: TroublesOptions) {
    this.#options = options
  }

  report(error: unknown, { about, message }: { readonly about: object; readonly message: string }): void {
    const { log } = this.#options
    if (!isStoreFault(error)) {
      log.error({ err: error, ...about }, message)
      return
    }
    const now = performance.now()
    const isNews = now - this.#awayAt > outageGapMs
    this.#awayAt = now
    if (isNews) log.error({ err: error }, "runs wait for the store, and go on when it is back")
    this.wake()
  }

  /** Who waits in {@link outlast} looks again. */
  wake(): void {
    for (const tell of this.#waiting.splice(0)) tell()
  }

  /** Resolves when the store still refuses after a while, or nothing may be written any more. */
  async outlast(): Promise<void> {
    const since = performance.now()
    while (this.#options.mayWrite() && performance.now() - since < refusedMsMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
}
