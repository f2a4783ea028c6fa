import { drainMicrotasks } from "bun:jsc"
import { AsyncLocalStorage } from "node:async_hooks"

/*
 * Time as a number. Inside `runVirtually` the timers and clocks of this process are these, so that real code runs as
 * it is, hours pass in milliseconds, and what happens depends on nothing but what the body does. All of it is one
 * synchronous call: nothing else of this process sees that time.
 */

interface Timer {
  readonly atMs: number
  readonly sequence: number
  readonly owner: VirtualProcess | undefined
  readonly ring: () => void
  cancelled: boolean
}

/**
 * A part of the simulation that can be stopped like a process: what it starts inside {@link run}, and all that follows
 * from it, belongs to it. Its clocks go on while it is paused, as a real one's do.
 */
export class VirtualProcess {
  readonly #clock: VirtualClock
  readonly #killed = new AbortController()
  #held: Timer[] | undefined
  /** How far its wall clock is off; the monotonic one is right whatever happens. */
  wallOffsetMs = 0

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  run<T>(body: () => T): T {
    return ownership.run(this, body)
  }

  /** Its timers no longer ring, as after `kill -9`: nothing of it happens any more. */
  kill(): void {
    this.#killed.abort()
  }
  /** Aborted when it is killed. */
  get killed(): AbortSignal {
    return this.#killed.signal
  }

  /** Its timers wait, as after SIGSTOP. */
  pause(): void {
    this.#held ??= []
  }
  /** Rings what has come due meanwhile, in the order it was due. */
  resume(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const timer of held) this.#clock.schedule(timer)
  }
  get paused(): boolean {
    return this.#held !== undefined
  }

  /** Whether a timer of it may ring now. One that has to wait is kept. */
  admit(timer: Timer): boolean {
    if (this.killed.aborted) return false
    this.#held?.push(timer)
    return this.#held === undefined
  }
}

const ownership = new AsyncLocalStorage<VirtualProcess | undefined>()

/** What is started in `body` belongs to no process: it goes on whoever is paused or killed. */
export function outside<T>(body: () => T): T {
  return ownership.run(undefined, body)
}

export class VirtualClock {
  /** A heap: the earliest first, of the same moment the one that was set first. */
  readonly #timers: Timer[] = []
  #sequence = 0
  nowMs = 0

  /** Sets a timer of whoever calls. Answers how it is taken back. */
  set(ring: () => void, delayMs: number): () => void {
    const timer: Timer = {
      atMs: this.nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      owner: ownership.getStore(),
      ring,
      cancelled: false,
    }
    this.schedule(timer)
    return () => {
      timer.cancelled = true
    }
  }

  schedule(timer: Timer): void {
    const heap = this.#timers
    heap.push(timer)
    let child = heap.length - 1
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (!this.#isBefore(child, parent)) return
      this.#swap(child, parent)
      child = parent
    }
  }

  /** Goes on to the next timer and rings it. False when there is none: then nothing will ever happen again. */
  advance(): boolean {
    const timer = this.#earliest()
    if (timer === undefined) return false
    if (timer.cancelled) return true
    this.nowMs = Math.max(this.nowMs, timer.atMs)
    if (timer.owner?.admit(timer) ?? true) ownership.run(timer.owner, timer.ring)
    return true
  }

  #earliest(): Timer | undefined {
    const heap = this.#timers
    const [first] = heap
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let parent = 0; ; ) {
      const left = 2 * parent + 1
      if (left >= heap.length) return first
      const child = left + 1 < heap.length && this.#isBefore(left + 1, left) ? left + 1 : left
      if (!this.#isBefore(child, parent)) return first
      this.#swap(child, parent)
      parent = child
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [left, right] = [this.#timers[a], this.#timers[b]]
    if (left === undefined || right === undefined) throw new Error("a place of the heap must hold a timer")
    return left.atMs < right.atMs || (left.atMs === right.atMs && left.sequence < right.sequence)
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#timers[a], this.#timers[b]]
    if (left === undefined || right === undefined) throw new Error("a place of the heap must hold a timer")
    this.#timers[a] = right
    this.#timers[b] = left
  }
}

/** When virtual time begins, on the wall's clock. */
const wallStartMs = Date.parse("2026-01-01T00:00:00.000Z")

/**
 * Runs the body to its end in virtual time and answers what it answers; throws what it rejects with. Throws too when
 * nothing is left that could end it, or when `limitMs` of virtual time are over.
 */
export function runVirtually<T>(
  body: (clock: VirtualClock) => Promise<T>,
  { limitMs = 24 * 3_600_000 }: { readonly limitMs?: number } = {},
): T {
  const clock = new VirtualClock()
  using _time = replaceTime(clock)
  let end: { readonly value: T } | { readonly error: unknown } | undefined
  outside(() => body(clock)).then(
    (value) => {
      end = { value }
    },
    (error: unknown) => {
      end = { error }
    },
  )
  for (;;) {
    drainMicrotasks()
    if (end !== undefined) break
    if (clock.nowMs > limitMs) throw new Error(`nothing came of it within ${limitMs} ms of virtual time`)
    if (!clock.advance()) throw new Error("nothing is left that could go on")
  }
  if ("error" in end) throw end.error
  return end.value
}

/** Puts this clock in the place of every clock and timer of the process, until it is disposed. */
function replaceTime(clock: VirtualClock): Disposable {
  const real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setImmediate: globalThis.setImmediate,
    sleep: Bun.sleep,
    Date: globalThis.Date,
    monotonic: performance.now,
  }
  class VirtualDate extends real.Date {
    constructor(value: number | string | Date = VirtualDate.now()) {
      super(value)
    }
    static override now(): number {
      return wallStartMs + clock.nowMs + (ownership.getStore()?.wallOffsetMs ?? 0)
    }
  }
  const set = (ring: (...given: unknown[]) => void, delayMs = 0, ...given: unknown[]) => {
    const handle = {
      cancel: clock.set(() => ring(...given), delayMs),
      unref: () => handle,
      ref: () => handle,
    }
    return handle
  }
  const clear = (handle: { cancel?: () => void } | undefined) => handle?.cancel?.()
  Object.assign(globalThis, {
    Date: VirtualDate,
    setTimeout: set,
    clearTimeout: clear,
    setImmediate: (ring: (...given: unknown[]) => void, ...given: unknown[]) => set(ring, 0, ...given),
  })
  Bun.sleep = (until) => {
    const delayMs = typeof until === "number" ? until : until.getTime() - Date.now()
    return new Promise<void>((resolve) => void clock.set(resolve, delayMs))
  }
  performance.now = () => clock.nowMs
  return {
    [Symbol.dispose]: () => {
      Object.assign(globalThis, {
        Date: real.Date,
        setTimeout: real.setTimeout,
        clearTimeout: real.clearTimeout,
        setImmediate: real.setImmediate,
      })
      Bun.sleep = real.sleep
      performance.now = real.monotonic
    },
  }
}
