import { ConveyorError } from "../errors.ts"

/**
 * The format of what is kept: keys, values and the places around them. A store, a data folder and an export each hold
 * its number from the beginning, so that a version that cannot read them says so before it touches them.
 */
export const format = 1

/** Throws `STORE_CORRUPT` unless this version reads what was `found` in `place`. */
export function checkFormat(found: unknown, place: string): void {
  if (found === format) return
  const remedy = typeof found === "number" && found > format ? "; use a newer version" : ""
  throw new ConveyorError(
    "STORE_CORRUPT",
    `${place} has the format ${String(found)}, and this version of Conveyor reads format ${format} only${remedy}`,
  )
}
