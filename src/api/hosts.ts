import type { HostRecord } from "../model/host.ts"
import { prefixes } from "../store/keys.ts"
import type { Entry, Store } from "../store/store.ts"
import { allDrift } from "./host-files.ts"
import { listPage, pageOf, pageResponse } from "./paging.ts"
import type { ApiContext, Route } from "./route.ts"
import { hostShape, json, listOf, pageQuery } from "./shapes.ts"

/** Hosts: those that live now. */
export function hostRoutes({ store }: ApiContext): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/hosts",
      summary:
        "List the hosts that live now, with what their pipelines folders have otherwise than the store",
      query: pageQuery,
      responses: { 200: json(listOf(hostShape), "A page of them") },
      async handle(call) {
        const [{ entries, next }, drift] = await Promise.all([
          listPage(store, { prefix: prefixes.hosts, page: pageOf(call.query) }),
          allDrift(store),
        ])
        const hosts = entries.map(parseHost)
        return pageResponse(
          call,
          hosts.map((host) => ({ ...host, drift: drift.get(host.hostId) ?? [] })),
          next,
        )
      },
    },
  ]
}

/** All hosts that live now. */
export async function allHosts(store: Store): Promise<readonly HostRecord[]> {
  return (await store.list(prefixes.hosts)).entries.map(parseHost)
}

function parseHost(entry: Entry): HostRecord {
  return JSON.parse(entry.value) as HostRecord
}
