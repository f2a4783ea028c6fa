import { type Budget, newBudget } from "./bounded-regexp.ts"

/** What one evaluation may cost, in steps of evaluation and in items and text made or looked at: some 200 ms. */
const costMax = 2_000_000
/** Characters of text that cost as much as one step. */
const charactersPerStep = 16

/** An evaluation that was stopped because it would have taken too long. */
export class ExpressionTooCostly extends Error {
  constructor() {
    super("it takes too long; loop over fewer items, or do it in a step")
    this.name = "ExpressionTooCostly"
  }
}

/**
 * What evaluating may still cost. Once it is used up it stays so, and every further {@link spend} throws
 * {@link ExpressionTooCostly}: CEL's `||` and `exists` swallow an error, but not all that follow.
 */
export class ExpressionBudget {
  #left = costMax
  /** Made once: a loop may meet it for each of its items. */
  readonly #error = new ExpressionTooCostly()
  /** The time that is left for regular expressions, which nothing can count. */
  readonly patterns: Budget = newBudget()

  get isExhausted(): boolean {
    return this.#left < 0
  }

  spend(cost: number): void {
    this.#left = this.isExhausted ? -1 : this.#left - cost
    if (this.isExhausted) throw this.#error
  }

  /** Pays for making or walking a list, a mapping or a text, whatever is in its items. */
  spendOn(value: unknown): void {
    this.spend(1 + breadthOf(value))
  }

  /** Pays for a value with everything in it, as comparing or writing it down costs. */
  spendOnAll(value: unknown): void {
    this.spendOn(value)
    if (typeof value !== "object" || value === null) return
    const items = value instanceof Map || Array.isArray(value) ? value.values() : Object.values(value)
    for (const item of items) this.spendOnAll(item)
  }
}

function breadthOf(value: unknown): number {
  if (typeof value === "string") return value.length / charactersPerStep
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length
  if (value instanceof Map) return value.size
  return typeof value === "object" && value !== null ? Object.keys(value).length : 0
}
