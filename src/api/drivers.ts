import type { DriverDescription, DriverSchemas } from "../model/driver.ts"
import type { Fault } from "../model/fault.ts"
import type { HostRecord } from "../model/host.ts"
import { nearestName } from "../model/nearest.ts"
import { hostDriverKey } from "../store/keys.ts"
import type { Store } from "../store/store.ts"
import { allHosts } from "./hosts.ts"
import { pageOf, pageResponse } from "./paging.ts"
import { notFound } from "./problem.ts"
import { nameParameter } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { describedDriverShape, driverShape, json, listOf, pageQuery } from "./shapes.ts"

/** A driver across hosts: one for each name and content. One that never loaded has only a name, a source and faults. */
export interface DriverView extends Partial<Omit<DriverDescription, "name" | "source">> {
  readonly name: string
  readonly source: string
  /** The ids of the hosts that have it. */
  readonly hosts: readonly string[]
  /** What is wrong with its file now, while its last good version serves. */
  readonly faults: readonly Fault[]
}

/** Drivers: what the hosts that live now have loaded. */
export function driverRoutes({ store }: ApiContext): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/drivers",
      summary: "List the drivers of all hosts, by name; each content of a driver on its own",
      query: pageQuery,
      responses: { 200: json(listOf(driverShape), "A page of them") },
      async handle(call) {
        const { limit, after } = pageOf(call.query)
        const drivers = viewDrivers(await allHosts(store))
        const rest = drivers.filter((driver) => after === undefined || cursorOf(driver) > after)
        const last = rest.length > limit ? rest[limit - 1] : undefined
        return pageResponse(call, rest.slice(0, limit), last && cursorOf(last))
      },
    },
    {
      method: "GET",
      path: "/drivers/:name",
      summary: "Each content of one driver, with what it takes and gives as JSON Schema",
      responses: { 200: json(listOf(describedDriverShape), "One of them, unless hosts differ") },
      async handle({ params }) {
        const name = nameParameter(params["name"], "driver")
        const drivers = viewDrivers(await allHosts(store))
        const found = drivers.filter((driver) => driver.name === name)
        if (found.length === 0) {
          throw notFound(
            "driver",
            name,
            nearestName(
              name,
              drivers.map((driver) => driver.name),
            ),
          )
        }
        const described = found.map(async (driver) => ({ ...driver, ...(await schemasOf(store, driver)) }))
        return Response.json(await Promise.all(described))
      },
    },
  ]
}

/** The same on every host that has this content. */
async function schemasOf(store: Store, { hash, hosts: [hostId] }: DriverView): Promise<DriverSchemas> {
  if (hash === undefined || hostId === undefined) return {}
  const entry = await store.get(hostDriverKey(hostId, hash))
  return entry === undefined ? {} : (JSON.parse(entry.value) as DriverSchemas)
}

/** Puts the drivers of all hosts together, ordered by name. */
export function viewDrivers(hosts: readonly HostRecord[]): readonly DriverView[] {
  const views = new Map<string, DriverView>()
  for (const host of hosts) {
    for (const driver of host.drivers) {
      add(views, host, {
        ...driver,
        faults: host.driverFaults.filter((fault) => fault.file === driver.source),
      })
    }
    const loaded = new Set(host.drivers.map((driver) => driver.source))
    const broken = host.driverFaults.filter((fault) => fault.file === undefined || !loaded.has(fault.file))
    for (const fault of broken) {
      const source = fault.file ?? ""
      add(views, host, { name: source.replace(/\.[^./]*$/, ""), source, faults: [fault] })
    }
  }
  return [...views.values()].sort((a, b) => (cursorOf(a) < cursorOf(b) ? -1 : 1))
}

function add(views: Map<string, DriverView>, host: HostRecord, driver: Omit<DriverView, "hosts">): void {
  const key = cursorOf(driver)
  const before = views.get(key)
  const hosts = new Set([...(before?.hosts ?? []), host.hostId])
  const faults = new Map(
    [...(before?.faults ?? []), ...driver.faults].map((fault) => [JSON.stringify(fault), fault]),
  )
  views.set(key, { ...driver, hosts: [...hosts], faults: [...faults.values()] })
}

function cursorOf(driver: Omit<DriverView, "hosts">): string {
  return `${driver.name}/${driver.hash ?? driver.source}`
}
