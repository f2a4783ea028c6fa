import type { Logger } from "pino"
import { ConveyorError } from "../errors.ts"

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
  #storeAway = false

  constructor(options: TroublesOptions) {
    this.#options = options
  }

  report(error: unknown, { about, message }: { readonly about: object; readonly message: string }): void {
    const { log } = this.#options
    if (!(error instanceof ConveyorError && error.code === "STORE_UNAVAILABLE")) {
      log.error({ err: error, ...about }, message)
      return
    }
    if (!this.#storeAway) log.error({ err: error }, "runs wait for the store, and go on when it is back")
    this.#storeAway = true
    this.wake()
  }

  /** The store answered a commit: its next outage is news. */
  pass(): void {
    this.#storeAway = false
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
