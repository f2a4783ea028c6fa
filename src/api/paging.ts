import type { Entry, Store } from "../store/store.ts"
import { invalidQuery } from "./request.ts"
import type { Call } from "./route.ts"

const limitDefault = 100
const limitMax = 1_000

/** Which part of a list is asked for: `?limit=` items behind the cursor `?after=`. */
export interface Page {
  readonly limit: number
  readonly after?: string
}

/** Reads `?limit` (default 100, at most 1,000) and `?after`. */
export function pageOf(query: URLSearchParams): Page {
  const text = query.get("limit")
  const limit = text === null ? limitDefault : Number(text)
  if (!Number.isInteger(limit) || limit < 1) {
    throw invalidQuery("limit", `Expected a whole number from 1 to ${limitMax}, not ${JSON.stringify(text)}`)
  }
  const after = query.get("after")
  return { limit: Math.min(limit, limitMax), ...(after === null || after === "" ? {} : { after }) }
}

/** A page of a list: a bare array, as older clients expect it, and where the next one begins in `Link`. */
export function pageResponse(call: Call, items: readonly unknown[], next: string | undefined): Response {
  if (next === undefined) return Response.json(items)
  const query = new URLSearchParams(call.query)
  query.set("after", next)
  return Response.json(items, { headers: { link: `<${call.path}?${query}>; rel="next"` } })
}

/** One page of the entries under a prefix; the cursor is what follows the prefix in the last key. */
export async function listPage(
  store: Store,
  options: { readonly prefix: string; readonly page: Page; readonly reverse?: boolean },
): Promise<{ entries: readonly Entry[]; next: string | undefined }> {
  const { prefix, page } = options
  const { entries } = await store.list(prefix, {
    limit: page.limit + 1,
    ...(page.after === undefined ? {} : { after: prefix + page.after }),
    ...(options.reverse === undefined ? {} : { reverse: options.reverse }),
  })
  if (entries.length <= page.limit) return { entries, next: undefined }
  const shown = entries.slice(0, page.limit)
  return { entries: shown, next: shown.at(-1)?.key.slice(prefix.length) }
}
