import type { IKeyValue } from "etcd3"
import type { KeyRange } from "./key-range.ts"
import type { Entry } from "./store.ts"

/** A range of etcd's: `range_end` is exclusive. */
export interface EtcdRange {
  readonly key: Buffer
  readonly range_end: Buffer
}

/** The keys of a store as etcd has them: behind a prefix that only this file knows of. */
export interface EtcdKeys {
  readonly toEtcd: (key: string) => Buffer
  readonly toEtcdRange: (range: KeyRange) => EtcdRange
  readonly fromEtcd: (key: Buffer) => string
  readonly entryOf: (found: IKeyValue) => Entry
  /** Where the number of the store's format is: under the prefix, and in no range. */
  readonly formatKey: Buffer
}

const nul = Buffer.from([0])
/** No text in UTF-8 holds this byte, so it lies behind every key. */
const behindAllKeys = Buffer.from([0xff])

export function etcdKeys(prefix: string): EtcdKeys {
  const hidden = Buffer.byteLength(prefix)
  const end = Buffer.concat([Buffer.from(prefix), behindAllKeys])
  const fromEtcd = (key: Buffer) => key.toString("utf8", hidden)
  return {
    toEtcd: (key) => Buffer.from(prefix + key),
    toEtcdRange: ({ from, to }) => ({
      key: prefix + from === "" ? nul : Buffer.from(prefix + from),
      range_end: to === undefined ? end : Buffer.from(prefix + to),
    }),
    fromEtcd,
    entryOf: (found) => {
      const entry = {
        key: fromEtcd(found.key),
        value: found.value.toString("utf8"),
        createRevision: Number(found.create_revision),
        modRevision: Number(found.mod_revision),
      }
      return found.lease === "0" ? entry : { ...entry, lease: found.lease }
    },
    formatKey: Buffer.concat([end, Buffer.from("format")]),
  }
}
