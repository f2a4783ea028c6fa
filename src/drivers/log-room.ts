/*
 * How far a driver may be ahead of its log. A loop that logs without awaiting never lets its thread hear that lines are
 * durable, so host and worker share the count of those that are: a worker that is too far ahead sleeps until it grows.
 */

/** Lines of an attempt that may be on their way to its log. */
const linesAheadMax = 10_000
/** A sleep is not longer than this, lest a wake-up be missed for good. */
const sleepMsMax = 1_000

/** How many lines of the attempt under way are durable. Memory that host and worker share. */
export type LogRoom = Int32Array<SharedArrayBuffer>

export function createLogRoom(): LogRoom {
  return new Int32Array(new SharedArrayBuffer(4))
}

/** For the host: so many lines are durable. */
export function setDurable(room: LogRoom, lines: number): void {
  Atomics.store(room, 0, lines)
  Atomics.notify(room, 0)
}

/** For the worker: sleeps while it is too far ahead. Answers how many lines are durable. */
export function waitForRoom(room: LogRoom, sent: number): number {
  for (;;) {
    const durable = Atomics.load(room, 0)
    if (sent - durable <= linesAheadMax) return durable
    Atomics.wait(room, 0, durable, sleepMsMax)
  }
}
