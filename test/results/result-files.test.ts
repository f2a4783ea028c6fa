import { describe, expect, test } from "bun:test"
import { mkdir, readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import {
  type AttemptOutcome,
  type AttemptResult,
  type DataRef,
  dataBytesMax,
  inlineBytesMax,
} from "../../src/model/driver.ts"
import { checkFiles } from "../../src/results/check-files.ts"
import { ResultFiles } from "../../src/results/result-files.ts"
import { recorded } from "../../src/results/result-store.ts"
import { tempFolder } from "../rig/temp-folder.ts"

async function filesRig() {
  const folder = await tempFolder()
  const results = new ResultFiles({ path: join(folder.path, "results"), folder: "f", hostId: "h" })
  return { path: folder.path, results, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

const runId = Bun.randomUUIDv7()
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** JSON of exactly so many bytes of UTF-8, of characters that take two. */
function dataOf(bytes: number): string {
  const quotes = 2
  const data = "é".repeat((bytes - quotes) >> 1) + (bytes % 2 === 0 ? "" : "x")
  expect(Buffer.byteLength(JSON.stringify(data))).toBe(bytes)
  return data
}

const result = (data: string) => ({ success: true, message: "made", data })

describe("data of a result", () => {
  test("stays in its record up to 64 KiB of JSON, byte for byte", async () => {
    await using rig = await filesRig()
    const fits = result(dataOf(inlineBytesMax))
    expect(inlineBytesMax).toBe(65_536)
    expect(await recorded(fits, { runId, results: rig.results })).toBe(fits)
    expect(await readdir(rig.path)).toEqual([])
  })

  test("lies in a file from the next byte on, and the rest of the result stands as it was", async () => {
    await using rig = await filesRig()
    const data = dataOf(inlineBytesMax + 1)
    const made: AttemptResult = { ...result(data), retryable: false }
    const { dataRef, ...rest }: AttemptOutcome = await recorded(made, { runId, results: rig.results })
    expect(rest).toEqual({ success: true, message: "made", retryable: false })
    expect(dataRef).toEqual({
      bytes: inlineBytesMax + 1,
      sha256: new Bun.CryptoHasher("sha256").update(JSON.stringify(data)).digest("hex"),
      runId,
      folder: "f",
      hostId: "h",
    })
    expect(JSON.parse(text(await rig.results.read(dataRef as DataRef)))).toBe(data)
    expect(await readdir(join(rig.path, "results", runId))).toEqual([`${dataRef?.sha256}.json`])
  })

  test("over the upper limit is refused with its size and the limit, and nothing is written", async () => {
    await using rig = await filesRig()
    const refused = recorded(result("x".repeat(dataBytesMax)), { runId, results: rig.results })
    await expect(refused).rejects.toMatchObject({
      code: "TOO_LARGE",
      message: `the driver's data is ${dataBytesMax + 2} bytes; at most ${dataBytesMax} are kept (put large things into the workspace)`,
    })
    expect(await readdir(rig.path)).toEqual([])
  })

  test("that is written at the same time, and again, is one whole file", async () => {
    await using rig = await filesRig()
    const json = JSON.stringify(dataOf(500_000))
    const refs = await Promise.all(Array.from({ length: 10 }, () => rig.results.write(runId, json)))
    expect(new Set(refs.map((ref) => JSON.stringify(ref))).size).toBe(1)
    await rig.results.write(runId, json)
    expect(await readdir(join(rig.path, "results", runId))).toHaveLength(1)
    expect(text(await rig.results.read(refs[0] as DataRef))).toBe(json)
  })

  test("that cannot be written leaves nothing behind, and says why", async () => {
    await using rig = await filesRig()
    await Bun.write(join(rig.path, "results"), "not a folder")
    await expect(rig.results.write(runId, "1")).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(/^the driver's data \(1 bytes\) could not be written: .*results/),
    })
  })
})

describe("a file of data", () => {
  test("that is gone is told from one that cannot be read now", async () => {
    await using rig = await filesRig()
    const ref = await rig.results.write(runId, "[1]")
    await rm(rig.results.fileOf(ref))
    await expect(rig.results.read(ref)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "host h does not have it any more",
    })
    await mkdir(rig.results.fileOf(ref))
    await expect(rig.results.read(ref)).rejects.toMatchObject({ code: "HOST_GONE" })
  })

  test.each([
    ["[2]", "host h has it damaged: there are other bytes in its file"],
    ["[1", "host h has it damaged: there are 2 bytes in its file"],
  ])("with %p in it is not taken for what was written", async (content, message) => {
    await using rig = await filesRig()
    const ref = await rig.results.write(runId, "[1]")
    await Bun.write(rig.results.fileOf(ref), content)
    await expect(rig.results.read(ref)).rejects.toMatchObject({ code: "NOT_FOUND", message })
  })
})

test("a check names what is missing or damaged, and counts what lies in other folders", async () => {
  await using rig = await filesRig()
  const refs = await Promise.all(["[1]", "[2]", "[3]"].map((json) => rig.results.write(runId, json)))
  const [, missing, damaged] = refs as [DataRef, DataRef, DataRef]
  await rm(rig.results.fileOf(missing))
  await Bun.write(rig.results.fileOf(damaged), "[4]")
  const keyed = refs.map((ref, index) => ({ key: `step ${index}`, ref }))
  const other = { key: "step 3", ref: { ...damaged, folder: "of another host" } }
  expect(await checkFiles([...keyed, other], { data: rig.path, folder: "f" })).toEqual({
    faults: [
      { key: "step 1", message: `its data is not there: ${rig.results.fileOf(missing)}` },
      {
        key: "step 2",
        message: "its data cannot be read: host h has it damaged: there are other bytes in its file",
      },
    ],
    elsewhere: 1,
  })
})
