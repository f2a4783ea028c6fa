import { messageOf } from "../errors.ts"
import { prefixes } from "../store/keys.ts"
import type { ApiContext, Route } from "./route.ts"
import { healthShape, json } from "./shapes.ts"

/** How long the store may take to answer before it counts as away. */
const answerMsMax = 1_000

/** Health: is the host up, and does its store answer, and take what is written? */
export function healthRoutes({ store, version, hostId }: ApiContext): readonly Route[] {
  async function askStore(): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    const timer = setTimeout(() => resolve(`The store has not answered for ${answerMsMax} ms`), answerMsMax)
    const reads = store.list(prefixes.hosts, { limit: 1 })
    Promise.all([store.refusesWrites?.(), reads]).then(
      ([refusal]) => resolve(refusal),
      (error: unknown) => resolve(messageOf(error)),
    )
    const error = await promise
    clearTimeout(timer)
    return error
  }

  return [
    {
      method: "GET",
      path: "/health",
      summary: "Is the host up, and does its store answer?",
      responses: {
        200: json(healthShape, "Yes"),
        503: json(healthShape, "The store does not answer, or takes no writes; `error` says why"),
      },
      async handle() {
        const error = await askStore()
        if (error === undefined) return Response.json({ status: "ok", version, hostId, store: "ok" })
        return Response.json(
          { status: "unavailable", version, hostId, store: "unavailable", error },
          { status: 503 },
        )
      },
    },
  ]
}
