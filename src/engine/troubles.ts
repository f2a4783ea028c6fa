import type { Logger } from "pino"
import { ConveyorError } from "../errors.ts"

/** Says what went wrong with runs. An outage of the store is one line, however many runs it holds up. */
export class Troubles {
  readonly #log: Logger
  #storeAway = false

  constructor(log: Logger) {
    this.#log = log
  }

  report(error: unknown, { about, message }: { readonly about: object; readonly message: string }): void {
    if (!(error instanceof ConveyorError && error.code === "STORE_UNAVAILABLE")) {
      this.#log.error({ err: error, ...about }, message)
    } else if (!this.#storeAway) {
      this.#storeAway = true
      this.#log.error({ err: error }, "the store does not answer; runs go on when it does")
    }
  }

  /** The store answers: its next outage is news. */
  pass(): void {
    this.#storeAway = false
  }
}
