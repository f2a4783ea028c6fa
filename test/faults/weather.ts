import type { Random } from "../rig/random.ts"
import type { Fate } from "../rig/store-connection.ts"

/** Everything that befalls hosts, by name. */
export const faultNames = [
  "kill",
  "start",
  "stop",
  "drain",
  "pause",
  "cut",
  "slow store",
  "slow watch",
  "lost history",
  "lease loss",
  "clock jump",
  "driver gone",
  "driver edited",
] as const
export type Fault = (typeof faultNames)[number]

/** Everything that befalls single commits. */
export const fateNames = ["killed-before", "killed-after", "lost", "answer-lost", "late"] as const
type BadFate = (typeof fateNames)[number]

/**
 * What goes wrong in one seed, and how often. Each seed has a weather of its own: some faults, by chance, do not happen
 * in it, and those that do come seldom or in showers. A seed in which all happens at once would show less: one fault
 * hides what another would have brought to light.
 */
export class Weather {
  readonly #random: Random
  readonly #faults: readonly Fault[]
  readonly #fates: ReadonlyMap<BadFate, number>
  /** Between two faults, at most. */
  readonly strikeMsMax: number
  /** How long a message to or from the store is on its way, at most and unless it is held up. */
  readonly delayMsMax: number
  /** How much later than answers the news of watches come, on every host. */
  readonly watchDelayMs: number
  /** How many attempts fail. */
  readonly failChance: number
  /** How many of those that succeed give data too large for a record. */
  readonly largeChance: number
  /** Clients do this between two faults, this often. */
  readonly cancelChance: number
  readonly rerunChance: number
  readonly resolveChance: number
  /** How much of the work must happen once, and how much asks for labels. */
  readonly onceChance: number
  readonly labelChance: number
  /** How often each feature of the pipeline language is used, and how often a driver defers work. */
  readonly languageChance: number
  readonly deferChance: number

  constructor(random: Random) {
    this.#random = random
    const faults = faultNames.filter(() => random.chance(0.5))
    // Who dies comes back, in every weather.
    const weighted = [...faults, "start" as const].flatMap((fault) =>
      Array.from({ length: 1 + random.below(6) }, () => fault),
    )
    this.#faults = weighted
    this.#fates = new Map(
      fateNames
        .filter(() => random.chance(0.4))
        .map((fate) => [fate, random.pick(fate.startsWith("killed") ? [0.001, 0.01] : [0.005, 0.02, 0.1])]),
    )
    this.strikeMsMax = random.pick([400, 1_500, 5_000])
    this.delayMsMax = random.pick([4, 4, 40, 300])
    this.watchDelayMs = random.pick([0, 0, 50, 400])
    this.failChance = random.pick([0.02, 0.1, 0.4])
    this.largeChance = random.pick([0, 0, 0.1, 0.5])
    this.cancelChance = random.pick([0, 0.05, 0.3])
    this.rerunChance = random.pick([0, 0.1])
    this.resolveChance = random.pick([0.1, 0.5])
    this.onceChance = random.pick([0, 0.3, 0.8])
    this.labelChance = random.pick([0, 0, 0.5])
    this.languageChance = random.pick([0, 0.2, 0.5])
    this.deferChance = random.pick([0, 0, 0.2])
  }

  /** What goes wrong next. */
  fault(): Fault {
    return this.#random.pick(this.#faults)
  }

  /** What becomes of one commit. */
  fate(): Fate {
    for (const [fate, probability] of this.#fates) if (this.#random.chance(probability)) return fate
    return "done"
  }
}
