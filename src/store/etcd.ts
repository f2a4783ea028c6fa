import {
  AlarmAction,
  castGrpcError,
  type Etcd3,
  type ICompare,
  type ILeaseKeepAliveResponse,
  type IRangeRequest,
  type IRangeResponse,
  type IRequestOp,
} from "etcd3"
import { ConveyorError } from "../errors.ts"
import { type CallLimit, call, callAny } from "./etcd-call.ts"
import { type EtcdOptions, isCompacted, isLeaseGone, outOfSpace } from "./etcd-client.ts"
import { settleEtcdFormat } from "./etcd-format.ts"
import { type EtcdKeys, type EtcdRange, etcdKeys } from "./etcd-keys.ts"
import { EtcdMembers } from "./etcd-members.ts"
import { watchEtcd } from "./etcd-watch.ts"
import { keyRange } from "./key-range.ts"
import { checkCommit, checkKey, checkText } from "./limits.ts"
import type { Change, Entry, Guard, Lease, Listing, ListOptions, Revision, Store, Write } from "./store.ts"

/**
 * The store in etcd, under a prefix, for several hosts. Revisions are etcd's. Rejects with `STORE_UNAVAILABLE` when
 * etcd does not answer now; later it reconnects by itself. Rejects with `STORE_CORRUPT` when the store has a format
 * that this version does not read.
 */
export async function openEtcd(options: EtcdOptions): Promise<Store> {
  const members = new EtcdMembers(options)
  try {
    const place = `The store in etcd under ${options.prefix}`
    await settleEtcdFormat(members, etcdKeys(options.prefix), place)
    await warnOfOldVersion(members, options)
    return new EtcdStore(members, options)
  } catch (error) {
    members.close()
    throw error
  }
}

/** Before 3.5 a member that was killed could come back with data other than the rest has. */
async function warnOfOldVersion(members: EtcdMembers, { onWarning }: EtcdOptions): Promise<void> {
  if (onWarning === undefined) return
  const { version } = await call(members, "repeatable", ({ maintenance }, limit) => maintenance.status(limit))
  const [major = 0, minor = 0] = version.split(".").map(Number)
  if (major < 3 || (major === 3 && minor < 5)) onWarning(`etcd ${version}: use 3.5 or newer in production`)
}

/** Entries fetched at once: few enough that a page of the greatest values still fits into a message. */
const pageMax = 200
const listTries = 5

class EtcdStore implements Store {
  readonly #members: EtcdMembers
  readonly #keys: EtcdKeys
  readonly #closing = new AbortController()

  constructor(members: EtcdMembers, options: EtcdOptions) {
    this.#members = members
    this.#keys = etcdKeys(options.prefix)
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key)
    this.#checkOpen()
    const found = await this.#read({ key: this.#keys.toEtcd(key) })
    const [first] = found.kvs
    return first === undefined ? undefined : this.#keys.entryOf(first)
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    checkText("prefix", prefix)
    if (options.after !== undefined) checkText("key", options.after)
    this.#checkOpen()
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#listOnce(prefix, options)
      } catch (error) {
        if (!isCompacted(error)) throw error
        if (options.revision !== undefined)
          throw new ConveyorError("COMPACTED", `Revision ${options.revision} is gone`, { cause: error })
        // The revision of the first page was compacted before the last page was read: begin again.
        if (attempt === listTries)
          throw new ConveyorError("STORE_UNAVAILABLE", "etcd compacts faster than it lists", { cause: error })
      }
    }
  }

  async commit(guards: readonly Guard[], writes: readonly Write[]): Promise<Revision | undefined> {
    checkCommit(guards, writes)
    this.#checkOpen()
    const compare = guards.map((guard) => this.#compareOf(guard))
    const success = writes.map((write) => this.#operationOf(write))
    try {
      const answer = await call(this.#members, "once", ({ kv }, limit) =>
        kv.txn({ compare, success, failure: [] }, limit),
      )
      return answer.succeeded ? Number(answer.header.revision) : undefined
    } catch (error) {
      if (isLeaseGone(error)) return undefined
      throw error
    }
  }

  async *watch(prefix: string, since: Revision, signal: AbortSignal): AsyncGenerator<readonly Change[]> {
    checkText("prefix", prefix)
    const range = keyRange(prefix, {})
    if (range === undefined) throw new Error("A range without `after` must hold keys")
    yield* watchEtcd({
      members: this.#members,
      keys: this.#keys,
      range: this.#keys.toEtcdRange(range),
      since,
      signal: AbortSignal.any([signal, this.#closing.signal]),
    })
  }

  /** etcd counts whole seconds, and takes at least two by default: a lease may live longer than asked for. */
  async grant(ttlMs: number): Promise<Lease> {
    this.#checkOpen()
    const granted = await call(this.#members, "repeatable", ({ leaseClient }, limit) =>
      leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1_000) }, limit),
    )
    return { id: granted.ID, ttlMs }
  }

  async keepAlive(lease: Lease): Promise<boolean> {
    this.#checkOpen()
    // Within the third of its time that is left when a renewal is due, several members can be asked.
    const patienceMs = lease.ttlMs / 10
    const answer = await callAny(this.#members, patienceMs, (client, limit) =>
      keepAliveOnce(client, lease, limit),
    )
    return Number(answer.TTL) > 0
  }

  async revoke(lease: Lease): Promise<void> {
    this.#checkOpen()
    try {
      await call(this.#members, "repeatable", ({ leaseClient }, limit) =>
        leaseClient.leaseRevoke({ ID: lease.id }, limit),
      )
    } catch (error) {
      if (!isLeaseGone(error)) throw error
    }
  }

  /** Of all that etcd holds, whoever it belongs to. */
  async forgetBefore(revision: Revision): Promise<void> {
    this.#checkOpen()
    try {
      await call(this.#members, "repeatable", ({ kv }, limit) => kv.compact({ revision }, limit))
    } catch (error) {
      if (!isCompacted(error)) throw error
    }
  }

  async refusesWrites(): Promise<string | undefined> {
    this.#checkOpen()
    const { alarms } = await call(this.#members, "repeatable", ({ maintenance }, limit) =>
      maintenance.alarm({ action: AlarmAction.Get }, limit),
    )
    // The types say "Nospace" and the protocol says "NOSPACE".
    return alarms.some(({ alarm }) => alarm.toUpperCase() === "NOSPACE") ? outOfSpace : undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#members.close()
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new ConveyorError("STORE_UNAVAILABLE", "The store is closed")
  }

  async #listOnce(prefix: string, { limit, revision: asOf = 0, ...options }: ListOptions): Promise<Listing> {
    const entries: Entry[] = []
    let { after } = options
    let revision = asOf
    for (;;) {
      const range = keyRange(prefix, after === undefined ? options : { ...options, after })
      const wanted =
        range === undefined ? 0 : Math.min(pageMax, (limit ?? Number.POSITIVE_INFINITY) - entries.length)
      const page = await this.#page(range && this.#keys.toEtcdRange(range), { wanted, revision, ...options })
      revision ||= Number(page.header.revision)
      for (const found of page.kvs) entries.push(this.#keys.entryOf(found))
      if (!page.more || page.kvs.length === 0 || entries.length === limit) return { revision, entries }
      after = entries.at(-1)?.key
    }
  }

  /** At most `wanted` entries as of `revision`, 0 being now. Of no range or none wanted: only the revision. */
  #page(
    range: EtcdRange | undefined,
    options: { readonly wanted: number; readonly revision: Revision; readonly reverse?: boolean },
  ) {
    const { wanted, revision, reverse = false } = options
    if (range === undefined || wanted === 0) {
      const nothing = { key: this.#keys.toEtcd("."), revision, count_only: true }
      return this.#read(nothing)
    }
    const order = reverse ? ({ sort_target: "Key", sort_order: "Descend" } as const) : {}
    return this.#read({ ...range, ...order, limit: wanted, revision })
  }

  #read(request: IRangeRequest): Promise<IRangeResponse> {
    return call(this.#members, "repeatable", ({ kv }, limit) => kv.range(request, limit))
  }

  #compareOf({ key, modRevision }: Guard): ICompare {
    return { result: "Equal", target: "Mod", key: this.#keys.toEtcd(key), mod_revision: modRevision }
  }

  #operationOf(write: Write): IRequestOp {
    const key = this.#keys.toEtcd(write.key)
    switch (write.type) {
      case "put":
        return { request_put: { key, value: Buffer.from(write.value), lease: write.lease?.id ?? 0 } }
      case "delete":
        return { request_delete_range: { key } }
      default:
        return write satisfies never
    }
  }
}

/** One renewal on a stream of its own, so that an answer belongs to its question and a loss is told at once. */
async function keepAliveOnce(
  client: Etcd3,
  lease: Lease,
  limit: CallLimit,
): Promise<ILeaseKeepAliveResponse> {
  const stream = await client.leaseClient.leaseKeepAlive(limit)
  try {
    return await new Promise((resolve, reject) => {
      stream.on("data", resolve)
      stream.on("error", (error) => reject(castGrpcError(error)))
      stream.on("end", () => reject(new Error("The stream ended without an answer")))
      stream.write({ ID: lease.id })
    })
  } finally {
    stream.end()
  }
}
