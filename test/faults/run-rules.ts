import { isEnded, type Run, type RunStatus, type Verdict } from "../../src/model/run.ts"

/*
 * What must be so at each change of a run's header, whoever made it:
 *
 *   - it never changes after its end
 *   - a run goes pending → running → its end, or from pending to its end, and never back
 *   - what it is pinned to (resource, pipeline, steps, code of drivers) never changes, but for one that was held and goes
 *     on, mended: counted, once for each time
 *   - what its drivers deferred, and the places of its log, only grow at the end
 *   - a request to cancel, and a verdict that stands written, never change; a run ends by whichever came first. Only
 *     cleanup that fails can turn a success
 */

/**
 * What is wrong with a run coming to hold its concurrency key, or starting without it, beside these others, as the end of
 * a sentence; undefined when nothing is. No more hold a key than the one that comes to hold it last allows.
 */
export function faultOfAdmission(
  before: Run | undefined,
  after: Run,
  others: Iterable<Run | undefined>,
): string | undefined {
  const { concurrency } = after
  if (concurrency === undefined) return undefined
  if (after.status === "running" && !holds(after)) return `started while it waited for "${concurrency.key}"`
  if (!holds(after) || (before !== undefined && holds(before))) return undefined
  const holders = [...others].filter(
    (other) =>
      other !== undefined &&
      other.runId !== after.runId &&
      holds(other) &&
      other.concurrency?.key === concurrency.key,
  )
  return holders.length < concurrency.limit
    ? undefined
    : `holds "${concurrency.key}" beside ${holders.length} others, of ${concurrency.limit} at most`
}

const holds = ({ status, concurrency }: Run) =>
  !isEnded(status) && concurrency !== undefined && concurrency.queuedAt === undefined

const next: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  pending: ["pending", "running", "succeeded", "failed", "cancelled"],
  running: ["running", "succeeded", "failed", "cancelled"],
  succeeded: [],
  failed: [],
  cancelled: [],
}

/**
 * What is wrong with this change of a header, as the end of a sentence; undefined when nothing is. `cleanupFailed`: has
 * a step that cleans up failed?
 */
export function faultOfHeader(
  before: Run,
  after: Run,
  { cleanupFailed }: { readonly cleanupFailed: boolean },
): string | undefined {
  if (isEnded(before.status)) return "changed after its end"
  if (!next[before.status].includes(after.status)) return `went from ${before.status} to ${after.status}`
  return faultOfPins(before, after) ?? faultOfVerdict(before, after, { cleanupFailed })
}

function faultOfPins(before: Run, after: Run): string | undefined {
  const changes = (names: readonly (keyof Run)[]) => names.find((name) => !same(before[name], after[name]))
  const always = changes(["runId", "event", "resource", "rerunOf", "createdAt"])
  if (always !== undefined) return `changed its ${always}`
  for (const name of ["steps", "cancelRequestedAt"] as const) {
    if (before[name] !== undefined && !same(before[name], after[name])) return `changed its ${name}`
  }
  for (const name of ["deferred", "logs"] as const) {
    const known = before[name] ?? []
    if (!same(known, after[name]?.slice(0, known.length) ?? [])) return `lost some of its ${name}`
  }
  const mends = (after.mended ?? 0) - (before.mended ?? 0)
  if (mends === 1 && isHeld(before) && !isHeld(after)) return undefined
  if (mends !== 0) return "says that it was mended, and it was not held"
  if (!same(before.pipeline, after.pipeline)) return "changed its pipeline"
  if (before.values !== undefined && !same(before.values, after.values)) return "changed its values"
  const changed = Object.entries(before.drivers ?? {}).find(([name, hash]) => after.drivers?.[name] !== hash)
  return changed === undefined ? undefined : `changed its code of ${changed[0]}`
}

function faultOfVerdict(
  before: Run,
  after: Run,
  { cleanupFailed }: { readonly cleanupFailed: boolean },
): string | undefined {
  const verdict = verdictOf(after)
  const decided = before.status === "running" ? before.stopping : undefined
  if (decided === undefined) {
    const isOverlooked =
      before.cancelRequestedAt !== undefined && (verdict?.status ?? "cancelled") !== "cancelled"
    return isOverlooked ? `is to end as ${verdict?.status}, and was cancelled` : undefined
  }
  const isTurned = cleanupFailed && decided.status === "succeeded" && verdict?.status === "failed"
  return verdict?.status === decided.status || isTurned
    ? undefined
    : `was to end as ${decided.status}, not ${verdict?.status}`
}

/** Does it wait for its pipeline or a driver to be mended? */
export function isHeld(run: Run): boolean {
  return run.status === "running" && run.held !== undefined
}

/** How it is to end, or has ended. */
function verdictOf(run: Run): Pick<Verdict, "status"> | undefined {
  if (isEnded(run.status)) return { status: run.status }
  return run.status === "running" ? run.stopping : undefined
}

const same = (a: unknown, b: unknown) => Bun.deepEquals(a, b)
