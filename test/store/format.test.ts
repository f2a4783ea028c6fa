import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { openEtcd } from "../../src/store/etcd.ts"
import { connect } from "../../src/store/etcd-client.ts"
import { etcdKeys } from "../../src/store/etcd-keys.ts"
import { settleFolderFormat } from "../../src/store/folder-format.ts"
import { type EtcdRig, startEtcd } from "../rig/etcd.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { put, rejection, write } from "./watching.ts"

describe("the format of a data folder", () => {
  test("is written once, and read from then on", async () => {
    await using folder = await tempFolder()
    await settleFolderFormat(folder.path)
    expect(await Bun.file(join(folder.path, "format")).text()).toBe("1\n")
    await settleFolderFormat(folder.path)
  })

  test("that is a later one is refused, with nothing touched", async () => {
    await using folder = await tempFolder()
    await Bun.write(join(folder.path, "format"), "2\n")
    const error = await rejection("STORE_CORRUPT", settleFolderFormat(folder.path))
    expect(error.message).toContain(`${folder.path} has the format 2`)
    expect(error.message).toContain("use a newer version")
    expect(await readdir(folder.path)).toEqual(["format"])
    expect(await Bun.file(join(folder.path, "format")).text()).toBe("2\n")
  })

  test("that is no number is refused", async () => {
    await using folder = await tempFolder()
    for (const text of ["", "one", "1.0", "1 2"]) {
      await Bun.write(join(folder.path, "format"), text)
      await rejection("STORE_CORRUPT", settleFolderFormat(folder.path))
    }
  })
})

describe("the format of a store in etcd", () => {
  let etcd: EtcdRig
  beforeAll(async () => {
    etcd = await startEtcd()
  }, 60_000)
  afterAll(() => etcd[Symbol.asyncDispose]())

  const open = (prefix: string) => openEtcd({ endpoints: [etcd.endpoint], prefix })
  const client = () => {
    const client = connect({ endpoints: [etcd.endpoint], prefix: "" })
    return { kv: client.kv, [Symbol.dispose]: () => client.close() }
  }

  test("is written by the first that opens it, and is no entry of the store", async () => {
    const stores = await Promise.all([open("new/"), open("new/"), open("new/")])
    using raw = client()
    const { kvs } = await raw.kv.range({ key: etcdKeys("new/").formatKey })
    expect(kvs.map(({ value, version }) => [value.toString(), version])).toEqual([["1", "1"]])
    for (const store of stores) {
      expect((await store.list("")).entries).toEqual([])
      await store[Symbol.asyncDispose]()
    }
  })

  test("lies under the prefix, so that who deletes or may use the prefix has it all", async () => {
    await using _ = await open("whole/")
    using raw = client()
    const { kvs } = await raw.kv.range({ key: Buffer.from("whole/"), range_end: Buffer.from("whole0") })
    expect(kvs).toHaveLength(1)
  })

  test("that is a later one is refused, with nothing touched", async () => {
    await using store = await open("later/")
    await write(store, put("a", "1"))
    using raw = client()
    const key = etcdKeys("later/").formatKey
    await raw.kv.put({ key, value: Buffer.from("2") })
    const before = (await raw.kv.range({ key })).header.revision
    const error = await rejection("STORE_CORRUPT", open("later/"))
    expect(error.message).toContain("The store in etcd under later/ has the format 2")
    expect((await raw.kv.range({ key })).header.revision).toBe(before)
  })
})
