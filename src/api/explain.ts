import { explainRun } from "../explain/explain.ts"
import { explanationShape } from "./explanation-shape.ts"
import { explainSources } from "./explanation-sources.ts"
import { runIdParameter } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { json } from "./shapes.ts"

/** Why a run, and each of its steps, is where it is. */
export function explainRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/runs/:id/explain",
      summary:
        "Say of a run, and of each of its steps, why it is where it is and what it waits for: which expression with which values, which key held by which run, which driver, label or slot no host has, which timer, which processes",
      query: { local: "true: ask no other host which processes run there" },
      responses: { 200: json(explanationShape, "The reasons as they are now, for people and for programs") },
      async handle({ params, query, request }) {
        const runId = runIdParameter(params["id"])
        const isLocal = query.get("local") === "true"
        const sources = await explainSources(context, runId, { isLocal, signal: request.signal })
        return Response.json(explainRun(sources))
      },
    },
  ]
}
