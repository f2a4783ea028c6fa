import type { LogLine, LogPlace } from "../model/log.ts"
import type { LogPosition } from "../model/log-position.ts"
import type { StepState } from "../model/run.ts"
import { LogSource } from "./log-source.ts"
import type { ApiContext } from "./route.ts"

/** A line, the index of the place it lies in, and the position of a reader that has it and all before it. */
export interface PlacedLine {
  readonly line: LogLine
  readonly place: number
  readonly position: string
}

/** What a reader of a run's log gets: lines, or the word that a place cannot be read now. */
export type LogNews =
  | { readonly type: "lines"; readonly lines: readonly PlacedLine[] }
  | { readonly type: "away"; readonly place: number; readonly message: string }

export interface MergedLogOptions {
  readonly runId: string
  /** The run's places as they are now; looked at again after each {@link watch}. */
  readonly places: () => readonly LogPlace[]
  readonly stateOf: (stepId: string) => StepState | undefined
  /** Where the reader is. It moves with what is read. */
  readonly position: LogPosition
  /** Asks a host also when it did not answer a moment ago. */
  readonly insist: boolean
  /** Goes on with what comes, until `signal` aborts. */
  readonly follow: boolean
  readonly signal: AbortSignal
  /** Calls back whenever the run has changed, until `signal` aborts. */
  readonly watch?: (onChange: () => void, signal: AbortSignal) => void
}

/** The most lines handed over at once. */
const batchMax = 1_000

/**
 * The lines of a run from all its places. Each place's lines come in their order; an attempt's lines come after all that
 * the places of the step's earlier attempts hold; other than that the earliest line comes first, by the clocks of the
 * hosts. A place that cannot be read holds up nothing: that is said once, and, while following, it is tried again.
 */
export async function* mergedLog(context: ApiContext, options: MergedLogOptions): AsyncGenerator<LogNews> {
  const left = new AbortController()
  const merge = new Merge(context, { ...options, signal: AbortSignal.any([options.signal, left.signal]) })
  try {
    yield* merge.news()
  } finally {
    left.abort()
  }
}

class Merge {
  readonly #context: ApiContext
  readonly #options: MergedLogOptions
  readonly #sources = new Map<number, LogSource>()
  readonly #folders: string[] = []
  readonly #told = new Set<number>()
  #changed = false
  #wake = () => {}

  constructor(context: ApiContext, options: MergedLogOptions) {
    this.#context = context
    this.#options = options
    options.watch?.(this.#onChange, options.signal)
    options.signal.addEventListener("abort", this.#onChange)
  }

  async *news(): AsyncGenerator<LogNews> {
    const { follow, signal } = this.#options
    for (;;) {
      this.#changed = false
      this.#open()
      const lines = this.#take()
      if (lines.length > 0) yield { type: "lines", lines }
      yield* this.#absences()
      // What changed while this was told may be an absence to tell, even of the last place that was read.
      if (lines.length > 0 || this.#changed) continue
      if (signal.aborted) return
      if (!follow && [...this.#sources.values()].every((source) => !source.mayHoldMore)) return
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  readonly #onChange = () => {
    this.#changed = true
    this.#wake()
  }

  /** Begins to read the places that are not read yet. */
  #open(): void {
    const { runId, position, follow, insist, signal } = this.#options
    for (const [index, place] of this.#options.places().entries()) {
      if (this.#folders[index] === place.folder) continue
      this.#folders[index] = place.folder
      const { folder, logs, peers } = this.#context
      const source = new LogSource({
        read: (options) =>
          place.folder === folder
            ? logs.read(runId, options)
            : peers.read(place, runId, { ...options, insist }),
        after: position.of(index),
        follow,
        signal,
        onChange: this.#onChange,
        retry: (until) => peers.news(until),
      })
      this.#sources.set(index, source)
    }
  }

  /** Lines that are here and have their turn. With one place, as most runs have, it is its turn. */
  #take(): readonly PlacedLine[] {
    const { position } = this.#options
    const lines: PlacedLine[] = []
    const only = this.#sources.size === 1 ? [...this.#sources][0] : undefined
    while (lines.length < batchMax) {
      const turn = only ?? this.#turn()
      if (turn?.[1].head === undefined) break
      const [place, source] = turn
      const line = source.take()
      position.advance(place, line.sequence)
      lines.push({ line, place, position: position.toString() })
    }
    return lines
  }

  /** The place whose turn it is; undefined while that cannot be told, or when no line is here. */
  #turn(): readonly [place: number, source: LogSource] | undefined {
    const heads: { place: number; source: LogSource; line: LogLine }[] = []
    for (const [place, source] of this.#sources) {
      const line = source.head
      if (line !== undefined) heads.push({ place, source, line })
      else if (source.mayHoldMore) return undefined
    }
    heads.sort((a, b) => (a.line.at < b.line.at ? -1 : a.line.at > b.line.at ? 1 : a.place - b.place))
    const first = heads.find(({ line }) => !this.#mustWait(line)) ?? heads[0]
    return first && [first.place, first.source]
  }

  /** May an earlier attempt of the line's step have lines elsewhere that have not been taken? */
  #mustWait({ step, attempt = 1 }: LogLine): boolean {
    if (step === undefined || attempt === 1 || this.#sources.size === 1) return false
    const places = this.#options.stateOf(step)?.logs ?? []
    const own = places[attempt - 1] ?? 0
    for (let earlier = 0; earlier < attempt - 1; earlier++) {
      const place = places[earlier] ?? 0
      if (place !== own && this.#sources.get(place)?.mayHoldMore === true) return true
    }
    return false
  }

  /** Places that cannot be read, each told once for as long as that lasts. */
  *#absences(): Generator<LogNews> {
    for (const [place, { state }] of this.#sources) {
      if (state.status !== "away") this.#told.delete(place)
      else if (!this.#told.has(place)) {
        this.#told.add(place)
        yield { type: "away", place, message: state.message }
      }
    }
  }
}
