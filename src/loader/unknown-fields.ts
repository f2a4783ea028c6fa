import { isJsonObject } from "../model/json.ts"
import { escapePointer } from "../model/json-pointer.ts"
import { nearestName } from "../model/nearest.ts"
import type { PathFault } from "../model/schema-fault.ts"

/** A fault for each field of a mapping that is not among those it may have. Nothing for what is no mapping. */
export function unknownFields(
  value: unknown,
  fields: readonly string[],
  place: { readonly path: string; readonly of: string },
): PathFault[] {
  if (!isJsonObject(value)) return []
  return Object.keys(value)
    .filter((key) => !fields.includes(key))
    .map((key) => {
      const nearest = nearestName(key, fields)
      const known = nearest === undefined ? `; expected one of ${fields.join(", ")}` : ""
      return {
        message: `Unknown field "${key}" of ${place.of}${known}`,
        path: `${place.path}/${escapePointer(key)}`,
        atKey: true,
        ...(nearest === undefined ? {} : { nearest }),
      }
    })
}
