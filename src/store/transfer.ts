import { ConveyorError } from "../errors.ts"
import { type Digest, digesting, lineOf, type MovedEntry } from "./digest.ts"
import { moveKey } from "./keys.ts"
import { entriesOf, lastingEntries, refuseLiveHosts } from "./snapshot.ts"
import { commitBytesMax, type Guard, operationsMax, type Store, type Write } from "./store.ts"

/** Stands in the store from before the first entry until all are verified. */
interface MoveRecord {
  readonly startedAt: string
}

/**
 * Fills an empty store with entries, reads them back, and answers their digest: then it holds these, and nothing else.
 * What an earlier move that has not finished left there is deleted first; anything else is a `CONFLICT`, with nothing
 * changed. When this is interrupted or throws, hosts refuse the store until a move into it has finished.
 */
export async function fillStore(
  store: Store,
  source: AsyncIterable<MovedEntry>,
  options: { readonly now: () => string; readonly onProgress?: (entries: number) => void },
): Promise<Digest> {
  const move = await beginMove(store, { startedAt: options.now() })
  const written = digesting()
  let count = 0
  const batch = batchOf(store, move)
  for await (const { key, value } of source) {
    written.add(lineOf({ key, value }))
    await batch.add({ type: "put", key, value })
    options.onProgress?.(++count)
  }
  await batch.flush()
  const expected = written.end()
  const found = await digestOf(store)
  if (found.sha256 !== expected.sha256)
    throw new ConveyorError(
      "CONFLICT",
      `The store holds something other than the ${expected.entries} entries written: somebody else writes to it`,
    )
  await refuseLiveHosts(store)
  await commitAs(store, move, [{ type: "delete", key: moveKey }])
  return expected
}

/** The digest of what a store holds for good. */
async function digestOf(store: Store): Promise<Digest> {
  const digest = digesting()
  for await (const entry of lastingEntries(store)) digest.add(lineOf(entry))
  return digest.end()
}

/** Marks the store, and empties it of an unfinished move. Answers the guard that holds while the move is this one. */
async function beginMove(store: Store, record: MoveRecord): Promise<Guard> {
  const unfinished = await store.get(moveKey)
  if (unfinished === undefined) await refuseEntries(store)
  else await refuseLiveHosts(store)
  const begun = { key: moveKey, modRevision: unfinished?.modRevision ?? 0 }
  const modRevision = await commitAs(store, begun, [
    { type: "put", key: moveKey, value: JSON.stringify(record) },
  ])
  const move = { key: moveKey, modRevision }
  if (unfinished !== undefined) await empty(store, move)
  return move
}

async function refuseEntries(store: Store): Promise<void> {
  let count = 0
  for await (const _ of entriesOf(store)) count++
  if (count === 0) return
  const keys = count === 1 ? "1 key" : `${count} keys`
  throw new ConveyorError("CONFLICT", `The store holds ${keys} already; a move needs an empty one`)
}

async function empty(store: Store, move: Guard): Promise<void> {
  for (;;) {
    const { entries } = await store.list("", { limit: operationsMax - 1 })
    const others = entries.filter(({ key }) => key !== move.key)
    if (others.length === 0) return
    await commitAs(
      store,
      move,
      others.map(({ key }) => ({ type: "delete", key })),
    )
  }
}

/** Commits writes in as few commits as the limits allow, each only while the move goes on. */
function batchOf(store: Store, move: Guard) {
  const room = commitBytesMax - Buffer.byteLength(move.key)
  let writes: Write[] = []
  let bytes = 0
  const flush = async () => {
    if (writes.length === 0) return
    // The greatest entry there may be leaves no room for a guard.
    if (bytes > room) await store.commit([], writes)
    else await commitAs(store, move, writes)
    writes = []
    bytes = 0
  }
  const add = async (write: Write) => {
    const size = Buffer.byteLength(write.key) + (write.type === "put" ? Buffer.byteLength(write.value) : 0)
    if (writes.length + 1 === operationsMax || bytes + size > room) await flush()
    writes.push(write)
    bytes += size
  }
  return { add, flush }
}

async function commitAs(store: Store, move: Guard, writes: readonly Write[]): Promise<number> {
  const revision = await store.commit([move], writes)
  if (revision === undefined)
    throw new ConveyorError("CONFLICT", "Another move into this store has begun meanwhile")
  return revision
}
