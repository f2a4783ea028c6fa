import type { RegExpEngine, RegExpLike } from "ajv/dist/types/index.js"

/** How long the patterns of one schema may take over one value, and over all values while they burn. */
const budgetMs = 100

/** Thrown instead of an answer; its message is for whoever sent the value. */
export class PatternTooSlow extends Error {
  constructor(pattern: string) {
    super(`The pattern ${pattern} takes too long on this value`)
    this.name = "PatternTooSlow"
  }
}

/** What the patterns of one schema may still use up on the value at hand. */
export interface Budget {
  /** Begins with a new value. */
  reset(): void
  spend(ms: number): boolean
}

/** A full budget. */
export function newBudget(): Budget {
  let leftMs = budgetMs
  return {
    reset: () => {
      leftMs = budgetMs
    },
    spend: (ms) => {
      leftMs -= ms
      return leftMs >= 0
    },
  }
}

/**
 * Regular expressions that give up: the runtime itself stops backtracking within about a second and then answers
 * "no match", which is wrong; here that is an error. A text that made a pattern burn is remembered by its length, so
 * that texts as long as it are not tried again.
 */
export function boundedRegExp(budget: Budget): RegExpEngine {
  const engine = (pattern: string, flags: string): RegExpLike & { toString(): string } => {
    const regExp = new RegExp(pattern, flags)
    let burnsFrom = Number.POSITIVE_INFINITY
    return {
      test(text) {
        if (text.length >= burnsFrom) throw new PatternTooSlow(pattern)
        const start = performance.now()
        const matches = regExp.test(text)
        const tookMs = performance.now() - start
        if (tookMs > budgetMs) burnsFrom = text.length
        if (!budget.spend(tookMs)) throw new PatternTooSlow(pattern)
        return matches
      },
      // Ajv takes two patterns for the same when this is the same.
      toString: () => String(regExp),
    }
  }
  return Object.assign(engine, { code: "new RegExp" })
}
