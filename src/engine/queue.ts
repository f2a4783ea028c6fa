/** The longest a timer takes: one that is set for later rings at once. */
const timerMsMax = 2 ** 31 - 1

export interface RunQueueOptions {
  /** Runs worked on at the same moment; the others wait in the order they were woken. */
  readonly parallelMax: number
  /** Looks at one run. Never called twice at the same time for one run. Never rejects. */
  readonly work: (runId: string) => Promise<void>
}

/**
 * The engine's queue. It holds run ids, never events: waking a run ten times before it is looked at is one look, and
 * waking it while it is looked at is one more look after that.
 */
export class RunQueue implements Disposable {
  readonly #options: RunQueueOptions
  readonly #waiting = new Set<string>()
  readonly #working = new Set<string>()
  readonly #alarms = new Map<string, { readonly atMs: number; readonly timer: Timer }>()
  #stopped = false

  constructor(options: RunQueueOptions) {
    this.#options = options
  }

  /** Has the run looked at, soon. */
  wake(runId: string): void {
    this.#waiting.add(runId)
    this.#workOff()
  }

  /**
   * Has it looked at at this moment of the monotonic clock, or earlier: of several moments the first stands. A look may
   * come early, when the moment is further away than a timer can be set.
   */
  wakeAt(runId: string, atMs: number): void {
    const alarm = this.#alarms.get(runId)
    if (this.#stopped || atMs === Number.POSITIVE_INFINITY || (alarm !== undefined && alarm.atMs <= atMs))
      return
    clearTimeout(alarm?.timer)
    const ring = () => {
      this.#alarms.delete(runId)
      this.wake(runId)
    }
    const leftMs = Math.min(Math.max(0, atMs - performance.now()), timerMsMax)
    this.#alarms.set(runId, { atMs, timer: setTimeout(ring, leftMs) })
  }

  /** Takes back what {@link wakeAt} was told of this run. */
  silence(runId: string): void {
    clearTimeout(this.#alarms.get(runId)?.timer)
    this.#alarms.delete(runId)
  }

  /** No look begins any more. */
  [Symbol.dispose](): void {
    this.#stopped = true
    for (const { timer } of this.#alarms.values()) clearTimeout(timer)
    this.#alarms.clear()
    this.#waiting.clear()
  }

  #workOff(): void {
    for (const runId of this.#waiting) {
      if (this.#stopped || this.#working.size >= this.#options.parallelMax) return
      if (this.#working.has(runId)) continue
      this.#waiting.delete(runId)
      this.#working.add(runId)
      void this.#options.work(runId).finally(() => {
        this.#working.delete(runId)
        this.#workOff()
      })
    }
  }
}
