import type { ConcurrencyPolicy } from "./pipeline.ts"

/** The key a run goes under, once its expressions are evaluated, and how many runs may hold it at the same time. */
export interface RunConcurrency {
  readonly key: string
  readonly limit: number
  readonly policy: ConcurrencyPolicy
  /** Since when it waits for its turn; absent once it holds the key. */
  readonly queuedAt?: string
}

/** Who holds a concurrency key, and who waits for it. It is gone when nobody does. */
export interface ConcurrencyRecord {
  readonly key: string
  /** In the order they came to hold it. */
  readonly holders: readonly Holder[]
  /** Whose turn it is next stands first: by priority, then by when they came. */
  readonly queue: readonly QueuedRun[]
}

export interface Holder {
  readonly runId: string
  readonly since: string
}

export interface QueuedRun extends Holder {
  readonly priority: number
}

/** A run that asks for a key. */
export interface Asking {
  readonly runId: string
  readonly concurrency: RunConcurrency
  readonly priority: number
  /** ISO 8601. */
  readonly now: string
}

/**
 * What becomes of a run that asks for its key. `record` is to be written with it. `wait`: it stands in the queue, and
 * `cancels` says which runs have to go for it.
 */
export type Admission =
  | { readonly type: "admitted"; readonly record: ConcurrencyRecord }
  | { readonly type: "wait"; readonly record: ConcurrencyRecord; readonly cancels: readonly string[] }
  | { readonly type: "rejected"; readonly by: Holder }

/** Decides about a run that asks, for the first time or again, with what is known of its key. */
export function admit(record: ConcurrencyRecord | undefined, asking: Asking): Admission {
  const { runId, concurrency, priority, now } = asking
  const known = record ?? { key: concurrency.key, holders: [], queue: [] }
  if (known.holders.some((holder) => holder.runId === runId)) return { type: "admitted", record: known }
  const free = concurrency.limit - known.holders.length
  const queue = enqueued(known.queue, { runId, priority, since: now })
  if (queue.findIndex((queued) => queued.runId === runId) < free) {
    const holders = [...known.holders, { runId, since: now }]
    return { type: "admitted", record: { ...known, holders, queue: without(known.queue, runId) } }
  }
  const [oldest] = known.holders
  if (
    concurrency.policy === "reject" &&
    oldest !== undefined &&
    known.queue.every((queued) => queued.runId !== runId)
  ) {
    return { type: "rejected", by: oldest }
  }
  return { type: "wait", record: { ...known, queue }, cancels: cancelsOf(known, asking) }
}

/** The record without a run that has ended; undefined when nobody is left in it. */
export function released(record: ConcurrencyRecord, runId: string): ConcurrencyRecord | undefined {
  const holders = record.holders.filter((holder) => holder.runId !== runId)
  const queue = without(record.queue, runId)
  return holders.length + queue.length === 0 ? undefined : { ...record, holders, queue }
}

/** Is the run in it? */
export function isIn(record: ConcurrencyRecord | undefined, runId: string): boolean {
  return (
    record !== undefined &&
    (record.holders.some((holder) => holder.runId === runId) ||
      record.queue.some((queued) => queued.runId === runId))
  )
}

/** `replace`: those that wait since before it, and as many of the oldest holders as it takes to make room. */
function cancelsOf(
  { holders, queue }: ConcurrencyRecord,
  { runId, concurrency: { policy, limit } }: Asking,
): readonly string[] {
  if (policy !== "replace") return []
  const place = queue.findIndex((queued) => queued.runId === runId)
  const before = (place < 0 ? queue : queue.slice(0, place)).map((queued) => queued.runId)
  const tooMany = Math.max(0, holders.length - limit + 1)
  return [...before, ...holders.slice(0, tooMany).map((holder) => holder.runId)]
}

function enqueued(queue: readonly QueuedRun[], run: QueuedRun): readonly QueuedRun[] {
  if (queue.some(({ runId }) => runId === run.runId)) return queue
  const place = queue.findIndex(({ priority }) => priority < run.priority)
  return place < 0 ? [...queue, run] : queue.toSpliced(place, 0, run)
}

function without(queue: readonly QueuedRun[], runId: string): readonly QueuedRun[] {
  return queue.filter((queued) => queued.runId !== runId)
}
