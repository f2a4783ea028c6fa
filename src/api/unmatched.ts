import { nearestName } from "../model/nearest.ts"
import { HttpError, notFound, problemOf } from "./problem.ts"
import type { Route } from "./route.ts"

/** The answer to a request no route has taken: 405 with `Allow` when the path exists, else 404 with the nearest one. */
export function unmatched(routes: readonly Route[], request: Request): Response {
  const path = pathOf(request)
  const methods = routes.filter((route) => fits(route.path, path)).map((route) => route.method)
  const allowed = [...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])))]
  if (allowed.length > 0) {
    const message = `${path} takes ${allowed.join(", ")}, not ${request.method}`
    return problemOf(new HttpError("METHOD_NOT_ALLOWED", message), request, { allow: allowed.join(", ") })
  }
  const nearest = nearestName(
    path,
    routes.map((route) => route.path).filter((known) => !known.includes(":")),
  )
  return problemOf(notFound("path", path, nearest), request)
}

/** The path of a request, still encoded, without a trailing slash. */
function pathOf(request: Request): string {
  const { pathname } = new URL(request.url)
  return pathname.length > 1 && pathname.endsWith("/") ? pathname.slice(0, -1) : pathname
}

function fits(pattern: string, path: string): boolean {
  const parts = path.split("/")
  const patternParts = pattern.split("/")
  return (
    parts.length === patternParts.length &&
    patternParts.every((part, index) => part.startsWith(":") || part === parts[index])
  )
}
