import * as v from "valibot"

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const part = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/y

/** What a duration looks like, but for its length. */
export const durationPattern = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/

/** The longest duration: what `setTimeout` and a person still understand. About 24 days. */
export const durationMsMax = 2 ** 31 - 1

/**
 * Milliseconds of a duration like `500ms`, `10m` or `1h30m`; undefined when it is not one or is longer than `msMax`, by
 * default {@link durationMsMax}.
 */
export function parseDuration(text: string, msMax = durationMsMax): number | undefined {
  let total = 0
  part.lastIndex = 0
  while (part.lastIndex < text.length) {
    const match = part.exec(text)
    if (match === null) return undefined
    total += Number(match[1]) * units[match[2] as keyof typeof units]
  }
  return text !== "" && total <= msMax ? Math.round(total) : undefined
}

/** The duration somebody meant who wrote `5 minutes`, `5min` or `5`; undefined when that cannot be told. */
export function nearestDuration(text: string): string | undefined {
  const match =
    /^\s*(\d+(?:\.\d+)?)\s*(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|)\s*$/i.exec(
      text,
    )
  if (match === null) return undefined
  const [, number, word = ""] = match
  const unit = /^(?:milli|ms)/i.test(word) ? "ms" : word.slice(0, 1).toLowerCase() || "s"
  const nearest = `${number}${unit}`
  return nearest !== text && parseDuration(nearest) !== undefined ? nearest : undefined
}

/** A duration as people write it: `0ms`, `1.5s`, `2m 5s`, `1h 3m`. For people, not for {@link parseDuration}. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)}s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`
  return `${Math.floor(seconds / 3_600)}h ${Math.floor((seconds % 3_600) / 60)}m`
}

/** What a duration looks like, for messages. */
export const durationRule = 'Expected a duration such as "500ms", "10m" or "1h30m"'

/** Parses a duration to milliseconds; a plain number is taken as milliseconds already. */
export const durationSchema = v.union(
  [
    v.pipe(v.number(), v.minValue(0, durationRule), v.maxValue(durationMsMax, durationRule)),
    v.pipe(
      v.string(),
      v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const ms = parseDuration(dataset.value)
        if (ms === undefined) {
          addIssue({ message: durationRule })
          return NEVER
        }
        return ms
      }),
    ),
  ],
  durationRule,
)
