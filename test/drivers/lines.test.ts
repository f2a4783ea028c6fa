import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { createLineSplitter, splitMessage } from "../../src/drivers/lines.ts"
import { createTail, outputBytesMax } from "../../src/drivers/tail.ts"
import { messageLengthMax } from "../../src/model/log.ts"

function split(...chunks: readonly (string | Uint8Array)[]): string[] {
  const lines = createLineSplitter()
  const bytes = chunks.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk))
  return [...bytes.flatMap((chunk) => lines.push(chunk)), ...lines.end()]
}

describe("a line splitter", () => {
  test("flushes a last line without an end, and makes none of an end", () => {
    expect(split("a\nb")).toEqual(["a", "b"])
    expect(split("a\n\nb\n")).toEqual(["a", "", "b"])
    expect(split("")).toEqual([])
  })

  test("shows what a carriage return left visible", () => {
    expect(split("1%\r50%\r100%\ndone\r\n")).toEqual(["100%", "done"])
    expect(split("done\r", "\nnext\n")).toEqual(["done", "next"])
  })

  test("replaces what is not UTF-8, and keeps a character that was cut in two", () => {
    expect(split(new Uint8Array([0x61, 0xff, 0x62, 0x0a]))).toEqual(["a\ufffdb"])
    const [first, ...rest] = Buffer.from("ü\n")
    expect(split(new Uint8Array([first ?? 0]), new Uint8Array(rest))).toEqual(["ü"])
  })

  test("cuts a line over the limit and says how long it was", () => {
    const length = messageLengthMax * 3 + 5
    const text = "x".repeat(length)
    const [line = "", next] = split(text.slice(0, 100_000), text.slice(100_000), "\nshort\n")
    expect(line).toHaveLength(messageLengthMax)
    expect(line).toEndWith(`x … [cut: the line had ${length} characters]`)
    expect(next).toBe("short")
  })

  test("finds the same lines however the bytes are divided", () => {
    const texts = fc.array(fc.stringMatching(/^[^\r\n]*$/), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(texts, fc.array(fc.nat(50)), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""))
        const places = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b),
          bytes.length,
        ]
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end))
        expect(split(...chunks)).toEqual(lines)
      }),
    )
  })
})

test("a message of several lines is as many messages", () => {
  expect(splitMessage("one")).toEqual(["one"])
  expect(splitMessage("one\ntwo\n")).toEqual(["one", "two"])
  expect(splitMessage("")).toEqual([""])
})

test("a tail keeps the last bytes and starts with a whole character", () => {
  const tail = createTail()
  for (let n = 0; n < 3; n++) tail.push(Buffer.from("ü".repeat(outputBytesMax / 4)))
  tail.push(Buffer.from("x"))
  expect(tail.total()).toBe((outputBytesMax / 2) * 3 + 1)
  expect(tail.text()).toBe(`${"ü".repeat(outputBytesMax / 2 - 1)}x`)
})
