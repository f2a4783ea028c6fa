import { admit } from "../model/concurrency.ts"
import { present } from "../model/present.ts"
import type { ExplainSources } from "./explain-sources.ts"
import type { Reason } from "./explanation.ts"

/** Why a run that asked for its concurrency key has not got it; undefined for one that has, or is about to. */
export function concurrencyWait({
  run,
  pipeline,
  concurrencyKey,
  nowMs,
}: ExplainSources): (Reason & { readonly type: "concurrency" }) | undefined {
  const { runId, concurrency } = run
  if (run.status !== "pending" || run.cancelRequestedAt !== undefined) return undefined
  if (concurrency?.queuedAt === undefined) return undefined
  const priority = pipeline?.priority ?? 0
  const now = new Date(nowMs).toISOString()
  // It stands in the queue already: who was made when has been settled.
  const asking = { runId, concurrency, priority, now, isNewer: () => false }
  if (admit(concurrencyKey, asking).type === "admitted") return undefined
  const { holders = [], queue = [] } = concurrencyKey ?? {}
  const place = queue.findIndex((queued) => queued.runId === runId)
  return present({
    type: "concurrency" as const,
    key: concurrency.key,
    limit: concurrency.limit,
    holders,
    ahead: queue.slice(0, Math.max(0, place)).map((queued) => queued.runId),
    replaces: concurrency.policy === "replace" ? (true as const) : undefined,
    since: concurrency.queuedAt,
  })
}
