/** Numbers that depend on the seed and on nothing else. */
export interface Random {
  /** At least 0, less than 1. */
  next(): number
  /** A whole number from 0 to `below - 1`. */
  below(below: number): number
  /** True this often: 0 is never, 1 is always. */
  chance(probability: number): boolean
  /** One of them, each as likely. Throws when there is none. */
  pick<T>(of: readonly T[]): T
}

/** The sequence of this seed: xorshift on 32 bits, which is random enough to pick what happens next. */
export function randomFrom(seed: number): Random {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b) >>> 0 || 1
  const next = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  // Seeds that lie together begin alike; some steps later they no longer do.
  for (let i = 0; i < 8; i++) next()
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (of) => {
      if (of.length === 0) throw new Error("there must be something to pick from")
      return of[below(of.length)] as (typeof of)[number]
    },
  }
}
