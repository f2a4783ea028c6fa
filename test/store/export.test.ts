import { describe, expect, test } from "bun:test"
import type { MovedEntry } from "../../src/store/digest.ts"
import { exportLines, readExport } from "../../src/store/export.ts"
import { takeSnapshot } from "../../src/store/snapshot.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { put, rejection, write } from "./watching.ts"

const about = { version: "1.2.3", createdAt: "2026-01-01T00:00:00.000Z" }
const content = [
  { key: "a", value: '{"n":1}' },
  { key: "b\n\u2028", value: "line\r\nline\u0085\u2029\0 ü 😀" },
  { key: "c", value: "" },
]

async function exported(): Promise<string[]> {
  await using store = await openSqlite(":memory:")
  await write(store, ...content.map(({ key, value }) => put(key, value)))
  return await Array.fromAsync(exportLines(await takeSnapshot(store), about))
}

/** Text as bytes in pieces of `size`, wherever that cuts. */
async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const read = (lines: readonly string[], size = 1_000_000): Promise<MovedEntry[]> =>
  Array.fromAsync(readExport(inPieces(lines.join(""), size), "file"))

describe("an export", () => {
  test("begins with its format and ends with its digest", async () => {
    const lines = await exported()
    expect(JSON.parse(lines[0] ?? "")).toEqual({ format: 1, ...about, entries: 3 })
    expect(JSON.parse(lines.at(-1) ?? "")).toEqual({
      end: { entries: 3, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    })
  })

  test("is read back as it was, however its bytes arrive", async () => {
    const lines = await exported()
    for (const size of [1, 2, 3, 7, 64, 1_000_000]) expect(await read(lines, size)).toEqual(content)
  })

  test("is refused wherever it is cut off", async () => {
    const text = (await exported()).join("")
    const bytes = Buffer.from(text)
    // Without its last line end it is whole.
    for (let length = 0; length < bytes.length - 1; length++) {
      const cut = readExport(inPieces(bytes.subarray(0, length).toString("latin1"), 1_000), "file")
      await rejection("INVALID", Array.fromAsync(cut))
    }
  })

  test("is refused when an entry is changed, missing, twice there or moved", async () => {
    const [header = "", a = "", b = "", c = "", end = ""] = await exported()
    for (const lines of [
      [header, a.replace("1", "2"), b, c, end],
      [header, a, c, end],
      [header, a, a, b, c, end],
      [header, b, a, c, end],
      [header, a, b, c, end, c],
      [header.replace('"entries":3', '"entries":4'), a, b, c, end],
    ])
      await rejection("INVALID", read(lines))
  })

  test("names the line that no store could hold", async () => {
    const [header = "", a = "", , c = "", end = ""] = await exported()
    const lone = '{"key":"b","value":"\\ud800"}\n'
    const error = await rejection("INVALID", read([header, a, lone, c, end]))
    expect(error.message).toBe("file:3: A value must be well-formed Unicode")
  })

  test("of a later format is refused before anything of it is read", async () => {
    const [header = "", ...rest] = await exported()
    const error = await rejection(
      "STORE_CORRUPT",
      read([header.replace('"format":1', '"format":2'), ...rest]),
    )
    expect(error.message).toBe(
      "file has the format 2, and this version of Conveyor reads format 1 only; use a newer version",
    )
  })

  test("is told from any other file", async () => {
    for (const line of ["[]\n", "{}\n", "not JSON\n", '{"format":1}\n', "null\n"])
      await rejection("INVALID", read([line]))
  })
})
