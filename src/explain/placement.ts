import type { HostRecord } from "../model/host.ts"
import { fits, type Labels } from "../model/labels.ts"
import { nearestName } from "../model/nearest.ts"

/** A host, and how many attempts it runs of how many it may. */
export interface HostLoad {
  readonly hostId: string
  readonly attempts: number
  readonly attemptsMax: number
}

/** Where an attempt could be made now, or what keeps every host from it. */
export type Placement =
  | { readonly type: "noHost" }
  /** `nearest`: the host that lacks the fewest of them, and which. */
  | {
      readonly type: "labels"
      readonly labels: Labels
      readonly nearest: { readonly hostId: string; readonly lacks: Labels }
    }
  /** No host with the labels has a driver of this name. `unfit`: hosts that have it, and lack labels. */
  | {
      readonly type: "driver"
      readonly driver: string
      readonly nearest?: string
      readonly hosts: readonly string[]
      readonly unfit: readonly { readonly hostId: string; readonly lacks: Labels }[]
    }
  /** The very content that the run is pinned to is gone. `others`: hosts that have the driver with other content. */
  | {
      readonly type: "content"
      readonly driver: string
      readonly hash: string
      readonly others: readonly string[]
    }
  /** Every host that could take it is full. */
  | { readonly type: "slots"; readonly hosts: readonly HostLoad[] }
  | { readonly type: "free"; readonly hosts: readonly HostLoad[] }

/** What an attempt needs of its host. */
export interface PlacementNeeds {
  readonly driver: string
  /** The content that the run, or the step, is pinned to. */
  readonly hash?: string
  /** That content is in the store, so that it can be brought to any host. */
  readonly kept: boolean
  readonly labels: Labels
}

/** Looks for a host among those that live. */
export function placementOf(needs: PlacementNeeds, hosts: readonly HostRecord[]): Placement {
  const { driver, hash, kept, labels } = needs
  const [nearest] = hosts
    .map(({ hostId, labels: has }) => ({ hostId, lacks: lacking(has, labels) }))
    .sort((a, b) => Object.keys(a.lacks).length - Object.keys(b.lacks).length)
  if (nearest === undefined) return { type: "noHost" }
  const fitting = hosts.filter((host) => fits(host.labels, labels))
  if (fitting.length === 0) return { type: "labels", labels, nearest }
  const able = fitting.filter((host) => kept || hasDriver(host, { driver, ...(hash && { hash }) }))
  if (able.length === 0) {
    return hash === undefined
      ? withoutDriver(needs, hosts, fitting)
      : {
          type: "content",
          driver,
          hash,
          others: hosts.filter((host) => hasDriver(host, { driver })).map(idOf),
        }
  }
  const free = able.filter(({ load }) => load.attempts < load.attemptsMax)
  return free.length > 0
    ? { type: "free", hosts: free.map(loadOf) }
    : { type: "slots", hosts: able.map(loadOf) }
}

function withoutDriver(
  { driver, labels }: PlacementNeeds,
  hosts: readonly HostRecord[],
  fitting: readonly HostRecord[],
): Placement {
  const names = new Set(fitting.flatMap(({ drivers }) => drivers.map(({ name }) => name)))
  const nearest = nearestName(driver, names)
  return {
    type: "driver",
    driver,
    ...(nearest === undefined ? {} : { nearest }),
    hosts: fitting.map(idOf),
    unfit: hosts
      .filter((host) => hasDriver(host, { driver }))
      .map((host) => ({ hostId: host.hostId, lacks: lacking(host.labels, labels) })),
  }
}

function hasDriver(
  { drivers }: HostRecord,
  { driver, hash }: { readonly driver: string; readonly hash?: string },
): boolean {
  return drivers.some((each) => (hash === undefined ? each.name === driver : each.hash === hash))
}

/** Those of the labels that are wanted and not there. */
function lacking(has: Labels, wanted: Labels): Labels {
  return Object.fromEntries(Object.entries(wanted).filter(([key, value]) => !fits(has, { [key]: value })))
}

function loadOf({ hostId, load }: HostRecord): HostLoad {
  return { hostId, ...load }
}

function idOf({ hostId }: HostRecord): string {
  return hostId
}
