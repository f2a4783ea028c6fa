import { formatLabels } from "../model/labels.ts"
import { didYouMean } from "../model/nearest.ts"
import { listOf } from "./name-list.ts"
import type { HostLoad, Placement } from "./placement.ts"

/** Why no host can take a step up. */
export function describePlace(place: Exclude<Placement, { type: "free" }>): string {
  switch (place.type) {
    case "noHost":
      return "no host is alive"
    case "labels": {
      const { hostId, lacks } = place.nearest
      return `no host has ${formatLabels(place.labels)}; the nearest is ${hostId}, which lacks ${formatLabels(lacks)}`
    }
    case "driver":
      return describeNoDriver(place)
    case "content": {
      const others =
        place.others.length === 0
          ? ""
          : `; ${listOf(place.others)} ${place.others.length === 1 ? "has" : "have"} it with other content`
      return `the driver "${place.driver}" as the run is pinned to it (${place.hash.slice(0, 12)}) is gone from every host and from the store${others}`
    }
    case "slots":
      return `no host that can do it has a free slot: ${place.hosts.map(describeLoad).join(", ")}`
    default:
      return place satisfies never
  }
}

function describeNoDriver(place: Placement & { readonly type: "driver" }): string {
  const { driver, nearest, hosts, unfit } = place
  const where =
    unfit.length === 0
      ? `; there ${hosts.length === 1 ? "is" : "are"} ${listOf(hosts)}`
      : `; ${listOf(unfit.map(({ hostId, lacks }) => `${hostId} has it, and lacks ${formatLabels(lacks)}`))}`
  return `no ${unfit.length === 0 ? "host" : "host with the labels"} has the driver "${driver}"${didYouMean(nearest)}${where}`
}

function describeLoad({ hostId, attempts, attemptsMax }: HostLoad): string {
  return `${hostId} runs ${attempts} of ${attemptsMax}`
}
