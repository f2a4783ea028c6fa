import { describe, expect, test } from "bun:test"
import { plainEntry } from "../../src/cli/process-log.ts"
import { styleFor } from "../../src/cli/terminal.ts"

const plain = styleFor({}, {})
const time = new Date(2026, 0, 2, 3, 4, 5).getTime()
const entry = { level: 40, time, pid: 7, hostname: "here", msg: "the folder is gone" }

describe("an entry of the process's log, for a person", () => {
  test("is one line: the time, the level, what it says and its fields", () => {
    expect(plainEntry({ ...entry, folder: "/f", tries: 3 }, plain)).toBe(
      "03:04:05 warn  the folder is gone folder=/f tries=3\n",
    )
  })

  test("shows the stack of a bug below it", () => {
    const err = { type: "Error", message: "boom", stack: "Error: boom\n    at x.ts:1" }
    expect(plainEntry({ ...entry, level: 50, msg: "a bug", err }, plain)).toBe(
      "03:04:05 error a bug\n  Error: boom\n      at x.ts:1\n",
    )
  })

  test("lets no escape sequence reach the terminal", () => {
    expect(plainEntry({ ...entry, msg: "\x1b[31mred", field: "\x1b]0;title\x07x" }, plain)).toBe(
      "03:04:05 warn  red field=x\n",
    )
  })
})
