import { ConveyorError, messageOf } from "../errors.ts"
import type { DataRef } from "../model/driver.ts"
import type { Json } from "../model/json.ts"
import type { ResultStore } from "../results/result-store.ts"
import { type DataState, dataIn } from "./data-state.ts"

/** How many looks at runs hold large data at the same moment, and how much of it is kept between looks, in bytes of JSON. */
const holdersMax = 4
const keptBytesMax = 64 * 1024 * 1024
/** A host that could not be asked is not asked again for this long, and then by one look at a time. */
const awayMs = 3_000

/** Brings large data into memory for looks at runs, and keeps what was used last. */
export class LargeData {
  readonly #results: Pick<ResultStore, "read">
  /** Least recently used first, by hash: the same data is the same wherever it lies. */
  readonly #kept = new Map<string, { readonly bytes: number; readonly value: Json }>()
  #keptBytes = 0
  #holders = 0
  readonly #waiting: (() => void)[] = []
  /** When to ask for what lies in a folder again whose host could not be asked, by the monotonic clock. */
  readonly #askAgainAt = new Map<string, number>()

  constructor(results: Pick<ResultStore, "read">) {
    this.#results = results
  }

  /** What the look at a run asks for stays at hand as `run.data` until this is disposed. Nothing is read before. */
  holdFor(run: { data: HeldData | undefined }): Disposable {
    const held = new HeldData({
      read: (ref) => this.#read(ref),
      enter: () => this.#enter(),
      leave: () => this.#leave(),
    })
    run.data = held
    return {
      [Symbol.dispose]() {
        run.data = undefined
        held[Symbol.dispose]()
      },
    }
  }

  /** A host has come: who could not be asked may be there again. */
  lookAgain(): void {
    this.#askAgainAt.clear()
  }

  async #enter(): Promise<void> {
    if (this.#holders < holdersMax) this.#holders++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** The place goes to who waits longest. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#holders--
    else next()
  }

  async #read(ref: DataRef): Promise<DataState> {
    const kept = this.#kept.get(ref.sha256)
    if (kept !== undefined) {
      this.#kept.delete(ref.sha256)
      this.#kept.set(ref.sha256, kept)
      return { type: "here", value: kept.value }
    }
    // A silent host takes its time for each question: it must not take the places of all that ask others.
    const againAt = this.#askAgainAt.get(ref.folder)
    if (againAt !== undefined && performance.now() < againAt) return { type: "away" }
    if (againAt !== undefined) this.#isAway(ref)
    const state = await this.#ask(ref)
    if (state.type === "away") this.#isAway(ref)
    else this.#askAgainAt.delete(ref.folder)
    return state
  }

  #isAway({ folder }: DataRef): void {
    this.#askAgainAt.set(folder, performance.now() + awayMs)
  }

  async #ask(ref: DataRef): Promise<DataState> {
    try {
      const value = JSON.parse(new TextDecoder().decode(await this.#results.read(ref))) as Json
      this.#keep(ref, value)
      return { type: "here", value }
    } catch (error) {
      if (!(error instanceof ConveyorError)) throw error
      return error.code === "NOT_FOUND" ? { type: "lost", message: messageOf(error) } : { type: "away" }
    }
  }

  #keep({ sha256, bytes }: DataRef, value: Json): void {
    if (this.#kept.has(sha256)) return
    this.#kept.set(sha256, { bytes, value })
    this.#keptBytes += bytes
    for (const [oldest, { bytes: freed }] of this.#kept) {
      if (this.#keptBytes <= keptBytesMax) return
      this.#kept.delete(oldest)
      this.#keptBytes -= freed
    }
  }
}

interface Source {
  readonly read: (ref: DataRef) => Promise<DataState>
  readonly enter: () => Promise<void>
  readonly leave: () => void
}

/** What one look at a run has asked for. */
export class HeldData implements Disposable {
  readonly #source: Source
  readonly #states = new Map<string, DataState>()
  #entered = false

  constructor(source: Source) {
    this.#source = source
  }

  /** Undefined for what was not asked for. */
  stateOf = (ref: DataRef): DataState | undefined => this.#states.get(keyOf(ref))

  /** The data itself, when it is at hand. */
  dataAt = (ref: DataRef): Json | undefined => dataIn(this.stateOf(ref))

  /** Each has a state then. */
  async load(refs: readonly DataRef[]): Promise<void> {
    if (!this.#entered) {
      await this.#source.enter()
      this.#entered = true
    }
    await Promise.all(refs.map(async (ref) => this.#states.set(keyOf(ref), await this.#source.read(ref))))
  }

  [Symbol.dispose](): void {
    this.#states.clear()
    if (this.#entered) this.#source.leave()
  }
}

const keyOf = ({ folder, runId, sha256 }: DataRef): string => `${folder}/${runId}/${sha256}`
