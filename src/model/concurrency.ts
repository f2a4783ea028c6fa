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
  /** Whose turn it is next stands first: by priority, then by when they were made. */
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
  /** Was this run made after the one that asks? Hosts look at runs in any order, and that must not matter. */
  readonly isNewer: (runId: string) => boolean
}

/**
 * What becomes of a run that asks for its key. `record` is to be written with it. `wait`: it stands in the queue, and
 * `cancels` says which runs have to go for it. `replaced`: newer runs, this one the newest of them, have its place.
 */
export type Admission =
  | { readonly type: "admitted"; readonly record: ConcurrencyRecord }
  | { readonly type: "wait"; readonly record: ConcurrencyRecord; readonly cancels: readonly string[] }
  | { readonly type: "replaced"; readonly by: string }
  | { readonly type: "rejected"; readonly by: Holder }

/** Decides about a run that asks, for the first time or again, with what is known of its key. */
export function admit(record: ConcurrencyRecord | undefined, asking: Asking): Admission {
  const { runId, concurrency, now } = asking
  const known = record ?? { key: concurrency.key, holders: [], queue: [] }
  if (known.holders.some((holder) => holder.runId === runId)) return { type: "admitted", record: known }
  const by = concurrency.policy === "replace" ? replacedBy(known, asking) : undefined
  if (by !== undefined) return { type: "replaced", by }
  const free = concurrency.limit - known.holders.length
  const queue = enqueued(known.queue, asking)
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

/** `replace`: it asks for the first time, and as many newer runs as there may be have asked before it. */
function replacedBy(
  { holders, queue }: ConcurrencyRecord,
  { runId, concurrency: { limit }, isNewer }: Asking,
): string | undefined {
  if (queue.some((queued) => queued.runId === runId)) return undefined
  const newer = [...holders, ...queue].filter((other) => isNewer(other.runId))
  return newer.length < limit ? undefined : newer.at(-1)?.runId
}

/** `replace`: the older ones that wait, and as many of those that hold it, the first ones first, as it takes to make room. */
function cancelsOf(
  { holders, queue }: ConcurrencyRecord,
  { runId, concurrency: { policy, limit }, isNewer }: Asking,
): readonly string[] {
  if (policy !== "replace") return []
  const isOlder = (other: Holder) => other.runId !== runId && !isNewer(other.runId)
  const tooMany = Math.max(0, holders.length - limit + 1)
  return [...queue.filter(isOlder), ...holders.filter(isOlder).slice(0, tooMany)].map((other) => other.runId)
}

function enqueued(
  queue: readonly QueuedRun[],
  { runId, priority, now, isNewer }: Asking,
): readonly QueuedRun[] {
  if (queue.some((queued) => queued.runId === runId)) return queue
  const place = queue.findIndex(
    (queued) => queued.priority < priority || (queued.priority === priority && isNewer(queued.runId)),
  )
  return queue.toSpliced(place < 0 ? queue.length : place, 0, { runId, priority, since: now })
}

function without(queue: readonly QueuedRun[], runId: string): readonly QueuedRun[] {
  return queue.filter((queued) => queued.runId !== runId)
}
