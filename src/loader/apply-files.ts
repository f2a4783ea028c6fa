import { messageOf } from "../errors.ts"
import type { HeldLease, HostLease } from "../hosts/host-lease.ts"
import type { HostFile } from "../model/host-file.ts"
import { canonicalJson, type Json } from "../model/json.ts"
import type { PipelineRecord } from "../model/pipeline.ts"
import type { ResourceDefinition } from "../model/resource.ts"
import { hostFileKey, pipelineRevisionKey, prefixes } from "../store/keys.ts"
import { commitBytesMax, type Guard, operationsMax, type Store, type Write } from "../store/store.ts"
import type { FolderView } from "./ownership.ts"
import {
  type FileChange,
  type FilePlan,
  type ObservedStore,
  type PlanContext,
  planFiles,
  type Stored,
} from "./plan-files.ts"

/** What came of bringing the store in step with the folder. */
export interface AppliedFiles extends Pick<FilePlan, "faults" | "drift" | "left" | "seen" | "pipelines"> {
  /** What was done, in words, in order. Empty when the store was in step already. */
  readonly messages: readonly string[]
}

export interface ApplyContext extends Pick<PlanContext, "alone" | "seen" | "settled"> {
  /** All that is written is fenced by it. */
  readonly lease: HostLease
  readonly signal: AbortSignal
  readonly now: () => string
  readonly newId: () => string
}

/** How often a plan is made anew when others write the same keys meanwhile. */
const roundsMax = 20

/**
 * Brings the store in step with the folder: observes the store, plans, commits, and again while others interfere. The
 * changes of one file share a commit where they fit into one. Waits while the host has no lease; answers undefined when
 * `signal` aborts meanwhile. Rejects with the store's errors; calling it again goes on where it ended.
 */
export async function applyFiles(
  store: Store,
  folder: FolderView,
  { lease, signal, now, newId, ...known }: ApplyContext,
): Promise<AppliedFiles | undefined> {
  const messages: string[] = []
  for (let round = 0; round < roundsMax; round++) {
    const held = await lease.held(signal)
    if (held === undefined) return undefined
    const context = { ...known, hostId: lease.hostId, now: now(), newId }
    const plan = planFiles(folder, await observeStore(store), context)
    // What two hosts delete at once must go. So each says what it has before it looks at what the other says.
    const isFirstWord = !known.alone && plan.publications.length > 0
    const changes = isFirstWord ? plan.publications : [...plan.publications, ...plan.changes]
    const done = await commitAll(store, inBatches(changes.map((change) => operationsOf(change, held))), held)
    messages.push(...done.messages)
    if (done.conflict) await lease.confirm()
    else if (!isFirstWord) return { ...plan, messages }
  }
  throw new Error(`The files could not be applied: others wrote the same keys ${roundsMax} times meanwhile`)
}

async function observeStore(store: Store): Promise<ObservedStore> {
  const [pipelines, definitions, files] = await Promise.all([
    listStored<PipelineRecord>(store, prefixes.pipelines),
    listStored<ResourceDefinition>(store, prefixes.definitions),
    listStored<HostFile>(store, prefixes.hostFiles),
  ])
  const byKey = [...files.values()].map(
    (file) => [hostFileKey(file.value.hostId, file.value.file), file] as const,
  )
  return { pipelines, definitions, files: new Map(byKey) }
}

async function listStored<T>(store: Store, prefix: string): Promise<ReadonlyMap<string, Stored<T>>> {
  const { entries } = await store.list(prefix)
  return new Map(
    entries.map(({ key, value, modRevision }) => [
      key.slice(prefix.length),
      { value: parseStored<T>(key, value), modRevision },
    ]),
  )
}

function parseStored<T>(key: string, value: string): T {
  try {
    return JSON.parse(value) as T
  } catch (thrown) {
    throw new Error(`The store must hold JSON under ${key}: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** What one change does to the store. All of it goes into one commit. */
interface Operations {
  readonly guard: Guard
  readonly writes: readonly Write[]
  readonly bytes: number
  readonly message: string | undefined
}

function operationsOf(change: FileChange, { lease }: HeldLease): Operations {
  const { key, observed, value, message } = change
  const writes: Write[] =
    value === undefined
      ? [{ type: "delete", key }]
      : [
          { type: "put", key, value: JSON.stringify(value), ...("hostId" in value ? { lease } : {}) },
          ...revisionWrites(value),
        ]
  return { guard: { key, modRevision: observed }, writes, bytes: bytesOf(key, writes), message }
}

/**
 * A revision is its content, so it needs no guard: whoever writes it writes the same. It is written also when it is
 * there, so that it cannot be collected meanwhile.
 */
function revisionWrites(value: NonNullable<FileChange["value"]>): Write[] {
  if (!("pipeline" in value)) return []
  const key = pipelineRevisionKey(value.hash)
  return [{ type: "put", key, value: canonicalJson(value.pipeline as unknown as Json) }]
}

function bytesOf(guarded: string, writes: readonly Write[]): number {
  const texts = writes.flatMap((write) => (write.type === "put" ? [write.key, write.value] : [write.key]))
  return [guarded, ...texts].reduce((bytes, text) => bytes + Buffer.byteLength(text), 0)
}

function inBatches(all: readonly Operations[]): readonly (readonly Operations[])[] {
  const batches: Operations[][] = []
  // The fence is one of them.
  let count = 1
  let bytes = 0
  for (const operations of all) {
    const size = 1 + operations.writes.length
    if (batches.length === 0 || count + size > operationsMax || bytes + operations.bytes > commitBytesMax) {
      batches.push([])
      count = 1
      bytes = 0
    }
    batches.at(-1)?.push(operations)
    count += size
    bytes += operations.bytes
  }
  return batches
}

/** Commits the batches side by side; answers what was said of those that held, and whether one did not. */
async function commitAll(store: Store, batches: readonly (readonly Operations[])[], { fence }: HeldLease) {
  const revisions = await Promise.all(
    batches.map((batch) =>
      store.commit(
        [fence, ...batch.map(({ guard }) => guard)],
        batch.flatMap(({ writes }) => writes),
      ),
    ),
  )
  return {
    conflict: revisions.includes(undefined),
    messages: batches.flatMap((batch, index) =>
      revisions[index] === undefined ? [] : batch.flatMap(({ message }) => message ?? []),
    ),
  }
}
