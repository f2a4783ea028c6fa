import { HttpError } from "./problem.ts"

const loopbackName = /^(?:localhost|(?:[a-z0-9-]+\.)+localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

/**
 * Refuses what a page from elsewhere makes a browser send: another origin than the host it is sent to, and, where the
 * API binds loopback only, a host name that is not loopback's (a name that was rebound to it). Clients that are not
 * browsers send no `Origin` and pass.
 */
export function refuseForeignPages(request: Request, loopbackOnly: boolean): void {
  const origin = request.headers.get("origin")
  if (origin === null) return
  const host = request.headers.get("host") ?? ""
  const sameOrigin = origin === `http://${host}` || origin === `https://${host}`
  if (sameOrigin && (!loopbackOnly || loopbackName.test(host))) return
  if (request.method === "GET" && !loopbackOnly) return
  throw new HttpError("FORBIDDEN", `Pages of ${origin} may not use this API`)
}

/** Does the API, bound to this host name or address, answer this machine only? */
export function isLoopback(host: string): boolean {
  return loopbackName.test(host) || host === "::1"
}
