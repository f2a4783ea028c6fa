import { ConveyorError } from "../errors.ts"
import type { KnownHosts } from "./known-hosts.ts"

/* What asking other hosts has in common, whatever they are asked for. */

/** A host that says nothing for this long, not even that it lives, does not answer. */
const silenceMsMax = 3_000

/** It said nothing for too long. */
export class Silence extends Error {}

/** What a host said, if it does so in time; throws {@link Silence} otherwise. */
export async function inTime<T>(promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Silence("It said nothing")), silenceMsMax)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** "Host … has been gone since …", of a host whose data folder no live one runs on. */
export function describeGone(
  hosts: KnownHosts,
  { folder, hostId }: { readonly folder: string; readonly hostId: string },
): string {
  const { at, before } = hosts.absence(folder)
  return `Host ${hostId} has been gone since ${before ? "before " : ""}${at}`
}

/** Where a host that is asked serves its API. Throws `code` when it serves none. */
export function apiOf(
  { hostId, url }: { readonly hostId: string; readonly url?: string },
  code: "SERVER_UNREACHABLE" | "HOST_GONE",
): string {
  if (url === undefined) throw new ConveyorError(code, `Host ${hostId} serves no API`)
  return url
}

/** A host at that address runs on another data folder than the one that was asked for. */
export function describeMistaken({
  hostId,
  url,
}: {
  readonly hostId: string
  readonly url?: string
}): string {
  return `At ${url} another host answers for ${hostId}, which needs --advertise`
}
