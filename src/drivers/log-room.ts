/*
 * How far a driver may be ahead of its log. A loop that logs without awaiting never lets its thread hear that lines are
 * durable, so host and worker share the count of those that are: a worker that is too far ahead sleeps until it grows.
 */

/** What may be on its way to the log of an attempt: lines, and characters in them. */
const linesMax = 10_000
const charactersMax = 8_000_000
/** From this part of it on the worker looks for itself, as nobody has told it for so long. */
const lookAfterPart = 1 / 10
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

/** For the worker: the lines of one attempt that are on their way. */
export class LinesAhead {
  readonly #room: LogRoom
  readonly #lines: { readonly characters: number; readonly resolve: () => void }[] = []
  #characters = 0
  #durable = 0

  constructor(room: LogRoom) {
    this.#room = room
  }

  /** One more line is on its way. Blocks the thread while there are too many. Resolves when the line is durable. */
  add(characters: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#lines.push({ characters, resolve })
    this.#characters += characters
    while (this.#isBeyond(lookAfterPart)) {
      const durable = Atomics.load(this.#room, 0)
      this.acknowledge(durable)
      if (!this.#isBeyond(1)) break
      Atomics.wait(this.#room, 0, durable, sleepMsMax)
    }
    return promise
  }

  /** The first `count` lines of the attempt are durable. */
  acknowledge(count: number): void {
    for (const line of this.#lines.splice(0, Math.max(0, count - this.#durable))) {
      this.#characters -= line.characters
      line.resolve()
    }
    this.#durable = Math.max(this.#durable, count)
  }

  #isBeyond(part: number): boolean {
    return this.#lines.length > part * linesMax || this.#characters > part * charactersMax
  }
}
