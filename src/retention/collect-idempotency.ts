import { type IdempotencyRecord, isRemembered } from "../model/idempotency.ts"
import { prefixes } from "../store/keys.ts"
import { pages, removeSeen, type Sweep } from "./sweep.ts"

/** Deletes the records of clients' own keys that are forgotten. Answers how many are gone. */
export async function collectIdempotency(sweep: Sweep): Promise<number> {
  const now = new Date(sweep.at.wallMs)
  let removed = 0
  for await (const { entries } of pages(sweep, prefixes.idempotency)) {
    const forgotten = entries.filter(
      ({ value }) => !isRemembered(JSON.parse(value) as IdempotencyRecord, now),
    )
    if (forgotten.length > 0) removed += await removeSeen(sweep, forgotten)
  }
  return removed
}
