/** How long the store may refuse what is to be written, until whoever stops need not wait for it any more. */
const refusedMsMax = 1_000

/** Whether the store takes what the engine writes, as far as is known. */
export class StoreOutage {
  #isOn = false
  readonly #waiting: (() => void)[] = []
  readonly #mayWrite: () => boolean

  /** Without a lease nothing may be written: claims have ended with it. */
  constructor(mayWrite: () => boolean) {
    this.#mayWrite = mayWrite
  }

  /** It did not take what was to be written. Answers whether that is news. */
  refused(): boolean {
    const isNews = !this.#isOn
    this.#isOn = true
    this.wake()
    return isNews
  }

  /** It answered a commit. */
  answered(): void {
    this.#isOn = false
  }

  /** Who waits in {@link lasts} looks again. */
  wake(): void {
    for (const tell of this.#waiting.splice(0)) tell()
  }

  /** Resolves when the store still refuses after a while, or nothing may be written any more. */
  async lasts(): Promise<void> {
    const since = performance.now()
    while (this.#mayWrite() && performance.now() - since < refusedMsMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
}
