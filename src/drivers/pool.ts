import type { DriverThread } from "./thread.ts"

/** How long attempts wait while no worker comes free at all, before others are started. */
const patienceMs = 5
/** How long an attempt waits at most, also while workers come free for those before it. */
const waitMsMax = 50
const idleMsDefault = 10_000
const threadsMaxDefault = 256

/**
 * The worker threads of one driver hash. It starts with none, grows while attempts wait longer than a few milliseconds,
 * and ends workers that have been idle for a while. The worker that came free last is used first, so few stay warm.
 */
export class ThreadPool implements Disposable {
  readonly #start: () => DriverThread
  readonly #threadsMax: number
  readonly #idleMs: number
  readonly #threads = new Set<DriverThread>()
  readonly #idle: { readonly thread: DriverThread; readonly since: number }[] = []
  readonly #waiting: { readonly take: (thread: DriverThread) => void; readonly since: number }[] = []
  #starting = 0
  #retired = false
  #releasedAt = 0
  #growTimer: Timer | undefined
  #idleTimer: Timer | undefined

  constructor({
    start,
    threadsMax = threadsMaxDefault,
    idleMs = idleMsDefault,
  }: {
    readonly start: () => DriverThread
    readonly threadsMax?: number
    readonly idleMs?: number
  }) {
    this.#start = start
    this.#threadsMax = threadsMax
    this.#idleMs = idleMs
  }

  /** Threads that are alive, busy and idle. */
  get size(): number {
    return this.#threads.size
  }

  /** A thread for one attempt: at once when one is idle, else when one is free. Give it back with `release`. */
  acquire(): DriverThread | Promise<DriverThread> {
    const idle = this.#takeIdle()
    if (idle !== undefined) return idle
    if (this.#threads.size === 0) this.#grow(1)
    const { promise, resolve } = Promise.withResolvers<DriverThread>()
    this.#waiting.push({ take: resolve, since: performance.now() })
    this.#watchQueue()
    return promise
  }

  /** Takes a thread back, also one that has ended. */
  release(thread: DriverThread): void {
    if (thread.spent) {
      this.#end(thread)
      if (this.#waiting.length > 0 && this.#threads.size === 0) this.#grow(1)
      return
    }
    this.#releasedAt = performance.now()
    const next = this.#waiting.shift()
    if (next !== undefined) next.take(thread)
    else if (this.#retired) this.#end(thread)
    else this.#keep(thread)
  }

  /** A newer version serves: idle threads end now, busy ones after their attempt. It can still be used. */
  retire(): void {
    this.#retired = true
    for (const { thread } of this.#idle.splice(0)) this.#end(thread)
  }

  /** This version serves again. */
  unretire(): void {
    this.#retired = false
  }

  /** Ends all threads at once. */
  [Symbol.dispose](): void {
    this.#retired = true
    clearTimeout(this.#growTimer)
    clearInterval(this.#idleTimer)
    for (const thread of this.#threads) thread[Symbol.dispose]()
    this.#threads.clear()
    this.#idle.length = 0
  }

  #takeIdle(): DriverThread | undefined {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (!idle.thread.ended) return idle.thread
      this.#threads.delete(idle.thread)
    }
    return undefined
  }

  #keep(thread: DriverThread): void {
    this.#idle.push({ thread, since: performance.now() })
    if (this.#idleTimer !== undefined) return
    this.#idleTimer = setInterval(() => this.#endIdle(), this.#idleMs / 4)
    this.#idleTimer.unref()
  }

  #endIdle(): void {
    const before = performance.now() - this.#idleMs
    while ((this.#idle[0]?.since ?? Number.POSITIVE_INFINITY) <= before) {
      const longest = this.#idle.shift()
      if (longest !== undefined) this.#end(longest.thread)
    }
    if (this.#threads.size > 0) return
    clearInterval(this.#idleTimer)
    this.#idleTimer = undefined
  }

  #end(thread: DriverThread): void {
    this.#threads.delete(thread)
    thread[Symbol.dispose]()
  }

  #grow(by: number): void {
    for (let n = Math.min(by, this.#threadsMax - this.#threads.size); n > 0; n--) {
      const thread = this.#start()
      this.#threads.add(thread)
      this.#starting++
      void thread.loaded.then(() => {
        this.#starting--
        if (this.#threads.has(thread)) this.#offer(thread)
      })
    }
  }

  /** A thread that could not load its driver goes to whoever waits, whose attempt then fails and says why. */
  #offer(thread: DriverThread): void {
    const next = this.#waiting.shift()
    if (next !== undefined) next.take(thread)
    else this.release(thread)
  }

  #watchQueue(): void {
    // The look is taken after the messages that are already here were read: a host that was busy for a
    // while must not take its own delay for a lack of workers.
    this.#growTimer ??= setTimeout(() => setImmediate(() => this.#relieveQueue()), patienceMs)
  }

  #relieveQueue(): void {
    this.#growTimer = undefined
    const longest = this.#waiting[0]
    if (longest === undefined) return
    const now = performance.now()
    const impatient =
      now - Math.max(longest.since, this.#releasedAt) >= patienceMs || now - longest.since >= waitMsMax
    // Doubling: a burst of long attempts gets its workers soon, a burst of short ones is over before.
    if (impatient && this.#starting === 0)
      this.#grow(Math.min(this.#waiting.length, Math.max(1, this.#threads.size)))
    this.#watchQueue()
  }
}
