import { expect, test } from "bun:test"
import { LargeData } from "../../src/engine/large-data.ts"
import { ObservedRun } from "../../src/engine/observe.ts"
import { ConveyorError } from "../../src/errors.ts"
import type { DataRef } from "../../src/model/driver.ts"

const ref = (sha256: string, folder: string): DataRef => ({
  sha256,
  folder,
  bytes: 4,
  runId: "r",
  hostId: `host of ${folder}`,
})

test("a host that could not be asked is not asked by each look anew, and hosts that answer are", async () => {
  const asked: string[] = []
  let silent = true
  const data = new LargeData({
    async read({ folder, sha256 }) {
      asked.push(sha256)
      if (folder === "silent" && silent) throw new ConveyorError("HOST_GONE", "It said nothing")
      return new TextEncoder().encode('"it"')
    },
  })
  const look = async (wanted: DataRef) => {
    const run = new ObservedRun("r", { complete: true, madeAt: 1 })
    using _ = data.holdFor(run)
    await run.data?.load([wanted])
    return run.data?.stateOf(wanted)
  }
  expect(await look(ref("a", "silent"))).toEqual({ type: "away" })
  expect(await look(ref("b", "silent"))).toEqual({ type: "away" })
  expect(await look(ref("c", "near"))).toEqual({ type: "here", value: "it" })
  expect(asked).toEqual(["a", "c"])
  silent = false
  data.lookAgain()
  expect(await look(ref("b", "silent"))).toEqual({ type: "here", value: "it" })
})
