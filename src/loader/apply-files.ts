import { messageOf } from "../errors.ts"
import type { FileFaults } from "../model/file-faults.ts"
import { canonicalJson, type Json } from "../model/json.ts"
import type { PipelineRecord } from "../model/pipeline.ts"
import type { ResourceDefinition } from "../model/resource.ts"
import { pipelineRevisionKey, prefixes } from "../store/keys.ts"
import { commitBytesMax, type Guard, operationsMax, type Store, type Write } from "../store/store.ts"
import type { FolderView } from "./ownership.ts"
import { type FileChange, type ObservedStore, type PlanClock, planFiles, type Stored } from "./plan-files.ts"

/** What came of bringing the store in step with the folder. */
export interface AppliedFiles {
  /** What was written, in words, in order. Empty when the store was in step already. */
  readonly messages: readonly string[]
  /** All that is wrong in the folder now, by file. */
  readonly faults: ReadonlyMap<string, FileFaults>
  /** How many pipelines the files hold. */
  readonly pipelines: number
}

/** How often a plan is made anew when others write the same keys meanwhile. */
const conflictsMax = 20

/**
 * Brings the store in step with the folder: observes the store, plans, commits, and again while others interfere. The
 * changes of one file share a commit where they fit into one. Rejects with the store's errors; calling it again goes
 * on where it ended.
 */
export async function applyFiles(
  store: Store,
  folder: FolderView,
  clock: { readonly now: () => string; readonly newId: () => string },
): Promise<AppliedFiles> {
  const messages: string[] = []
  for (let conflicts = 0; conflicts < conflictsMax; conflicts++) {
    const at: PlanClock = { now: clock.now(), newId: clock.newId }
    const { changes, faults, pipelines } = planFiles(folder, await observeStore(store), at)
    const batches = inBatches(changes.map(operationsOf))
    const done = await commitAll(store, batches)
    messages.push(...done.messages)
    if (!done.conflict) return { messages, faults, pipelines }
  }
  throw new Error(
    `The files could not be applied: others wrote the same keys ${conflictsMax} times meanwhile`,
  )
}

async function observeStore(store: Store): Promise<ObservedStore> {
  const [pipelines, definitions, faults] = await Promise.all([
    listStored<PipelineRecord>(store, prefixes.pipelines),
    listStored<ResourceDefinition>(store, prefixes.definitions),
    listStored<FileFaults>(store, prefixes.fileFaults),
  ])
  return { pipelines, definitions, faults }
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

function operationsOf(change: FileChange): Operations {
  const { key, observed, value, message } = change
  const writes: Write[] =
    value === undefined
      ? [{ type: "delete", key }]
      : [{ type: "put", key, value: JSON.stringify(value) }, ...revisionWrites(value)]
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
  let count = 0
  let bytes = 0
  for (const operations of all) {
    const size = 1 + operations.writes.length
    if (batches.length === 0 || count + size > operationsMax || bytes + operations.bytes > commitBytesMax) {
      batches.push([])
      count = 0
      bytes = 0
    }
    batches.at(-1)?.push(operations)
    count += size
    bytes += operations.bytes
  }
  return batches
}

/** Commits the batches side by side; answers what was said of those that held, and whether one did not. */
async function commitAll(store: Store, batches: readonly (readonly Operations[])[]) {
  const revisions = await Promise.all(
    batches.map((batch) =>
      store.commit(
        batch.map(({ guard }) => guard),
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
