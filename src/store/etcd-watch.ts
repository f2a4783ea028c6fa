import type { Etcd3, IWatchResponse } from "etcd3"
import { ConveyorError } from "../errors.ts"
import { revisionOf } from "./change.ts"
import type { EtcdKeys, EtcdRange } from "./etcd-keys.ts"
import type { EtcdMembers } from "./etcd-members.ts"
import type { Change, Revision } from "./store.ts"

export interface EtcdWatch {
  readonly members: EtcdMembers
  readonly keys: EtcdKeys
  readonly range: EtcdRange
  readonly since: Revision
  readonly signal: AbortSignal
}

const retryMsMin = 20
const retryMsMax = 1_000

/**
 * Every change of a range after a revision, whatever happens to the connection: it goes on where it was, and at another
 * member when the store turns to that. One stream for each watch, read as fast as its reader reads, so that etcd waits
 * for a slow one and nothing piles up here.
 */
export async function* watchEtcd({ members, keys, range, since, signal }: EtcdWatch) {
  let position = since
  let retryMs = retryMsMin
  while (!signal.aborted) {
    const { client, left } = members.current
    const ended = AbortSignal.any([signal, left])
    try {
      for await (const response of responses({ client, range, position, signal: ended })) {
        retryMs = retryMsMin
        if (response.canceled) {
          if (response.compact_revision !== "0") throw compacted(position, response.compact_revision)
          break
        }
        if (response.created) continue
        const changes = response.events.map((event) => changeOf(keys, event))
        // etcd sends an empty response when all before its revision has been sent. Events say how far they go.
        position = lastRevision(changes) ?? Math.max(position, Number(response.header.revision))
        if (changes.length > 0) yield changes
        if (signal.aborted) return
      }
    } catch (error) {
      if (error instanceof ConveyorError) throw error
      // Anything else is a connection that broke, and is made again.
      if (!signal.aborted) members.leave(client)
    }
    await pause(retryMs, signal)
    retryMs = Math.min(retryMs * 2, retryMsMax)
  }
}

interface Stream {
  readonly client: Etcd3
  readonly range: EtcdRange
  readonly position: Revision
  readonly signal: AbortSignal
}

/** One connection's worth of responses. Throws or ends when it breaks. */
async function* responses({ client, range, position, signal }: Stream): AsyncGenerator<IWatchResponse> {
  const stream = await client.watchClient.watch()
  const cancel = () => stream.cancel()
  signal.addEventListener("abort", cancel)
  try {
    if (signal.aborted) return
    stream.write({ create_request: { ...range, start_revision: position + 1, progress_notify: true } })
    if (!isIterable(stream)) throw new Error("A stream of gRPC must be readable as an iterable")
    for await (const response of stream) yield response
  } finally {
    signal.removeEventListener("abort", cancel)
    stream.cancel()
  }
}

/** What gRPC's streams are, and their types do not say. */
function isIterable(stream: object): stream is AsyncIterable<IWatchResponse> {
  return Symbol.asyncIterator in stream
}

function changeOf(keys: EtcdKeys, event: IWatchResponse["events"][number]): Change {
  // The types say "Delete" and the protocol says "DELETE".
  if (event.type.toUpperCase() !== "DELETE") return { type: "put", entry: keys.entryOf(event.kv) }
  return { type: "delete", key: keys.fromEtcd(event.kv.key), modRevision: Number(event.kv.mod_revision) }
}

function lastRevision(changes: readonly Change[]): Revision | undefined {
  const last = changes.at(-1)
  return last === undefined ? undefined : revisionOf(last)
}

function compacted(since: Revision, oldest: string): ConveyorError {
  return new ConveyorError(
    "COMPACTED",
    `Changes after revision ${since} are gone, the oldest known are of ${oldest}`,
  )
}

/** Ends early when `signal` aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener("abort", end)
  })
}
