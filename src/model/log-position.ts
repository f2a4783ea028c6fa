/**
 * How far a reader of a run's log has come: for each of the run's places, in their order, the sequence of the last line it
 * has. Written as `17` or `17.4`; places behind the last number count as 0, so that a position stays right when the run
 * comes to another place.
 */
export class LogPosition {
  readonly #sequences: number[]

  /** The beginning, or where another position is now. */
  constructor(from?: LogPosition) {
    this.#sequences = from === undefined ? [] : [...from.#sequences]
  }

  /** Reads what {@link toString} wrote; undefined when it is something else. */
  static parse(text: string): LogPosition | undefined {
    if (!/^\d{1,15}(?:\.\d{1,15})*$/.test(text)) return undefined
    const position = new LogPosition()
    for (const [place, sequence] of text.split(".").entries()) position.advance(place, Number(sequence))
    return position
  }

  /** The sequence of the last line of this place. */
  of(place: number): number {
    return this.#sequences[place] ?? 0
  }

  advance(place: number, sequence: number): void {
    while (this.#sequences.length < place) this.#sequences.push(0)
    this.#sequences[place] = sequence
  }

  toString(): string {
    return this.#sequences.length === 0 ? "0" : this.#sequences.join(".")
  }
}
