import { ConveyorError } from "../errors.ts"
import { didYouMean, nearestName } from "../model/nearest.ts"

/** How many names are told where none is near. */
const namesMax = 12

/** That there is no pipeline of this name, with the one that may be meant, else with those that there are. */
export function noPipeline(wanted: string, where: string, names: ReadonlySet<string>): ConveyorError {
  const nearest = nearestName(wanted, names)
  const mend = nearest === undefined ? listed(names) : didYouMean(nearest)
  return new ConveyorError("NOT_FOUND", `There is no pipeline "${wanted}" ${where}${mend}`)
}

function listed(names: ReadonlySet<string>): string {
  if (names.size === 0) return ", which has none"
  const shown = [...names].sort().slice(0, namesMax)
  return `; there are ${shown.join(", ")}${names.size > namesMax ? ", …" : ""}`
}
