import type { DriverHost } from "../drivers/driver-host.ts"
import { listensFor } from "../model/driver.ts"
import type { HostRecord } from "../model/host.ts"
import { fits, type Labels } from "../model/labels.ts"
import { keyOf } from "../store/change.ts"
import { prefixes } from "../store/keys.ts"
import type { Change, Listing } from "../store/store.ts"
import type { DriverBundles } from "./bundles.ts"
import type { HostView } from "./decision.ts"

/** The other live hosts, by their records in the store. */
export class OtherHosts {
  readonly #hostId: string
  readonly #records = new Map<string, HostRecord>()

  constructor(hostId: string) {
    this.#hostId = hostId
  }

  /** Starts anew from a listing of {@link prefixes.hosts}. */
  restart({ entries }: Listing): void {
    this.#records.clear()
    for (const entry of entries) this.observe({ type: "put", entry })
  }

  observe(change: Change): void {
    const key = keyOf(change)
    const hostId = key.slice(prefixes.hosts.length)
    if (hostId === this.#hostId) return
    if (change.type === "put") this.#records.set(hostId, JSON.parse(change.entry.value) as HostRecord)
    else this.#records.delete(hostId)
  }

  /** Is there one with these labels? */
  fit(wanted: Labels): boolean {
    return this.#some(wanted, () => true)
  }

  /** Does one with these labels have this driver? */
  have(driver: string, wanted: Labels): boolean {
    return this.#some(wanted, ({ drivers }) => drivers.some(({ name }) => name === driver))
  }

  /** The contents under which they serve this driver. */
  contentsOf(driver: string): string[] {
    return [...this.#records.values()].flatMap(({ drivers }) =>
      drivers.filter(({ name }) => name === driver).map(({ hash }) => hash),
    )
  }

  /** Does one with these labels serve this very content? */
  haveContent(hash: string, wanted: Labels): boolean {
    return this.#some(wanted, ({ drivers }) => drivers.some((driver) => driver.hash === hash))
  }

  #some(wanted: Labels, is: (record: HostRecord) => boolean): boolean {
    for (const record of this.#records.values()) if (fits(record.labels, wanted) && is(record)) return true
    return false
  }

  /** Could this one, alive and with these labels, start a step with this driver, of this content where one is named? */
  couldStart(hostId: string, driver: { name: string; hash: string | undefined }, wanted: Labels): boolean {
    const record = this.#records.get(hostId)
    if (record === undefined || !fits(record.labels, wanted)) return false
    if (record.load.attempts >= record.load.attemptsMax) return false
    return record.drivers.some(({ name, hash }) =>
      driver.hash === undefined ? name === driver.name : hash === driver.hash,
    )
  }

  /** Names of their drivers that listen for this kind. */
  listening(kind: string): string[] {
    return [...this.#records.values()].flatMap((record) =>
      record.drivers.filter(({ resources }) => listensFor(resources, kind)).map(({ name }) => name),
    )
  }
}

/** What a view of this host is made of. `wanted`: the labels the run's pipeline asks for. */
export interface HostViewSources {
  readonly hostId: string
  readonly folder: string
  readonly labels: Labels
  readonly drivers: DriverHost
  readonly others: OtherHosts
  readonly bundles: DriverBundles
  readonly slots: number
  readonly wanted: Labels
}

/** This host as a plan sees it, with what it knows of the others. */
export function viewHost({
  hostId,
  folder,
  labels,
  drivers,
  others,
  bundles,
  slots,
  wanted,
}: HostViewSources): HostView {
  return {
    hostId,
    folder,
    slots,
    fits: fits(labels, wanted),
    get othersFit() {
      return others.fit(wanted)
    },
    hashOf: (driver) => drivers.find(driver)?.hash,
    locate: (hash) => {
      if (drivers.canRun(hash)) return "here"
      if (bundles.mayHold(hash)) return "store"
      return others.haveContent(hash, wanted) ? "elsewhere" : "nowhere"
    },
    readsResults: (hash) => drivers.schemasOf(hash).readsResults !== false,
    couldStart: (other, driver) => others.couldStart(other, driver, wanted),
    servedAs: (driver) => [...others.contentsOf(driver), drivers.find(driver)?.hash ?? []].flat(),
    elsewhere: (driver) => others.have(driver, wanted),
    listening: (kind) => {
      const here = drivers.listening(kind).map(({ name }) => name)
      return [...new Set([...here, ...others.listening(kind)])].sort()
    },
  }
}
