/* Names in a sentence. */

/** How many things are named before the rest is only counted. */
const namedMax = 6

/** `a, b and 3 more`. */
export function listOf(things: readonly string[]): string {
  const named = things.length > namedMax + 1 ? things.slice(0, namedMax) : things
  const rest = things.length - named.length
  return rest > 0 ? `${named.join(", ")} and ${rest} more` : named.join(", ")
}

/** `"a", "b" and 3 more`. */
export function listNames(names: readonly string[]): string {
  return listOf(names.map((name) => `"${name}"`))
}

/** `"a", "b" have ended`: what is waited for, after "until" or "once". */
export function haveEnded(names: readonly string[]): string {
  return `${listNames(names)} ${names.length === 1 ? "has" : "have"} ended`
}
