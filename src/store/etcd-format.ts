import { call } from "./etcd-call.ts"
import type { EtcdKeys } from "./etcd-keys.ts"
import type { EtcdMembers } from "./etcd-members.ts"
import { checkFormat, format } from "./format.ts"

/**
 * Checks the format of the store behind a prefix, and writes it where there is none. Throws `STORE_CORRUPT` for one of
 * another format, with nothing in it touched. Hosts may do so at the same time.
 */
export async function settleEtcdFormat(members: EtcdMembers, keys: EtcdKeys, place: string): Promise<void> {
  const key = keys.formatKey
  const find = async () =>
    (await call(members, "repeatable", ({ kv }, limit) => kv.range({ key }, limit))).kvs[0]
  const writeFirst = () =>
    call(members, "repeatable", ({ kv }, limit) =>
      kv.txn(
        {
          compare: [{ key, result: "Equal", target: "Mod", mod_revision: 0 }],
          success: [{ request_put: { key, value: Buffer.from(`${format}`) } }],
          failure: [],
        },
        limit,
      ),
    )
  let found = await find()
  if (found === undefined) {
    await writeFirst()
    // Another host may have been first, and of another version.
    found = await find()
  }
  const text = found?.value.toString("utf8") ?? ""
  checkFormat(/^\d+$/.test(text) ? Number(text) : JSON.stringify(text), place)
}
