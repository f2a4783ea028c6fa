import * as v from "valibot"

/** The longest name, in characters; the limit of a DNS name, which older clients also keep to. */
export const nameLengthMax = 253

/** What a name looks like, but for its length and for "..". */
export const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/

/** What a name may look like, for messages. */
export const nameRule = `letters, digits, ".", "_" and "-", a letter or digit first and last, at most ${nameLengthMax} characters`

/**
 * The name of a pipeline, driver, resource, resource definition or step. Names become store keys, file names and
 * URL parts, so nothing in them needs escaping: no "/", no "..", no control characters.
 */
export const nameSchema = v.pipe(
  v.string(`Expected a name: ${nameRule}`),
  v.check((name) => isName(name), `Expected a name: ${nameRule}`),
)

/** Is it a valid name? See {@link nameSchema}. */
export function isName(name: string): boolean {
  return name.length <= nameLengthMax && namePattern.test(name) && !name.includes("..")
}
