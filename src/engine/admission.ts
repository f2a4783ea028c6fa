import { messageOf } from "../errors.ts"
import { type Asking, admit, isIn, type RunConcurrency, released } from "../model/concurrency.ts"
import type { Run, Verdict } from "../model/run.ts"
import { concurrencyOf } from "../model/run-values.ts"
import type { Draft } from "./draft.ts"
import { contentOf } from "./starting.ts"
import { stamp } from "./step-states.ts"

/*
 * The one way onto the belt, for a run that is new, done again or taken up after a crash: where its pipeline has a
 * concurrency key, it starts when it holds that key, and gives it back by the commit that ends it.
 */

/** A run that is not on the belt yet: may it start? If not, what happens instead is planned; a verdict ends it. */
export function admission(draft: Draft): "admitted" | "waits" | Verdict {
  const { run, observed } = draft
  const { pipeline } = observed
  if (run.status !== "pending" || pipeline?.concurrency === undefined) return "admitted"
  let concurrency: RunConcurrency
  try {
    concurrency = run.concurrency ?? concurrencyOf(pipeline.concurrency, contentOf(draft))
  } catch (error) {
    return { status: "failed", message: messageOf(error) }
  }
  const asking: Asking = {
    runId: run.runId,
    concurrency,
    priority: pipeline.priority ?? 0,
    now: stamp(draft.now),
    isNewer: observed.isNewer,
  }
  const known = observed.concurrencyOf(concurrency.key)
  const answer = admit(known, asking)
  switch (answer.type) {
    case "admitted": {
      const { queuedAt: _, ...held } = concurrency
      if (run.concurrency === undefined || concurrency.queuedAt !== undefined)
        draft.run = { ...run, concurrency: held }
      if (answer.record !== known) draft.keep(concurrency.key, answer.record)
      return "admitted"
    }
    case "wait":
      if (!isIn(known, run.runId) || concurrency.queuedAt === undefined) {
        draft.run = { ...run, concurrency: { ...concurrency, queuedAt: asking.now } }
        draft.keep(concurrency.key, answer.record)
      } else {
        for (const runId of answer.cancels) draft.effect({ type: "replace", runId })
      }
      return "waits"
    // What ends the run is decided on who holds the key now, not on old news: the record is written as it is.
    case "replaced":
      if (known !== undefined) draft.keep(concurrency.key, known)
      draft.run = { ...run, replacedBy: answer.by }
      return cancelledFor(answer.by)
    case "rejected":
      if (known !== undefined) draft.keep(concurrency.key, known)
      return {
        status: "cancelled",
        message: `rejected: the key "${concurrency.key}" is held by run ${answer.by.runId} since ${answer.by.since}`,
      }
    default:
      return answer satisfies never
  }
}

/** The verdict of a run that another one takes the place of. */
export function cancelledFor(replacedBy: string): Verdict {
  return { status: "cancelled", message: `cancelled: replaced by run ${replacedBy}` }
}

/**
 * A run that ends gives back what it holds, and its place in the queue. Where this host knows of neither, its news are
 * old: then the commit fails, and it looks again.
 */
export function release(draft: Draft, run: Run): void {
  if (run.concurrency === undefined) return
  const { key } = run.concurrency
  const known = draft.observed.concurrencyOf(key)
  draft.keep(key, known && released(known, run.runId))
}
