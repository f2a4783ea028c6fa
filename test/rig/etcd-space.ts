import { AlarmAction } from "etcd3"
import { ConveyorError } from "../../src/errors.ts"
import { openEtcd } from "../../src/store/etcd.ts"
import type { EtcdRig } from "./etcd.ts"

/** Under this prefix lies what takes the space: somebody else's data, as far as Conveyor knows. */
const prefix = "filler/"

/** Writes to it until it is out of space. */
export async function fillUp(etcd: EtcdRig): Promise<void> {
  await using store = await openEtcd({ endpoints: [etcd.endpoint], prefix })
  const value = "x".repeat(1_000_000)
  for (let n = 0; ; n++) {
    try {
      await store.commit([], [{ type: "put", key: `${n}`, value }])
    } catch (error) {
      if (error instanceof ConveyorError && error.message.includes("out of space")) return
      throw error
    }
  }
}

/** Deletes again what {@link fillUp} wrote. Alone it frees no space: its history is still there. */
export async function empty(etcd: EtcdRig): Promise<void> {
  await etcd.ask((client) =>
    client.kv.deleteRange({ key: Buffer.from(prefix), range_end: Buffer.from("filler0") }),
  )
}

/** What is left to a person when history is compacted: defragments it, and disarms the alarm. */
export async function defragment(etcd: EtcdRig): Promise<void> {
  await etcd.ask(async ({ maintenance }) => {
    await maintenance.defragment()
    const { alarms } = await maintenance.alarm({ action: AlarmAction.Get })
    for (const alarm of alarms) await maintenance.alarm({ ...alarm, action: AlarmAction.Deactivate })
  })
}
