import { expect, test } from "bun:test"
import { withMoments } from "../../src/cli/moments.ts"

const now = new Date(2026, 0, 2, 12, 0, 0)
const at = (ms: number) => new Date(now.getTime() + ms).toISOString()
const shown = (text: string) => withMoments(text, now.getTime())

test("moments are shown as a clock on the wall, with how far away they are", () => {
  expect(shown(`since ${at(-63_000)}; the next one at ${at(42_400)}`)).toBe(
    "since 11:58:57 (1m 3s ago); the next one at 12:00:42 (in 42s)",
  )
  expect(shown(`since ${at(-300)}`)).toBe("since 11:59:59 (now)")
})

test("a moment at the end of parentheses opens none inside of them", () => {
  expect(shown(`resolve it (since ${at(-63_000)}); wait`)).toBe(
    "resolve it (since 11:58:57, 1m 3s ago); wait",
  )
})

test("another day is shown with its date", () => {
  expect(shown(at(86_400_000))).toBe("2026-01-03 12:00:00 (in 24h 0m)")
  expect(shown(at(-13 * 3_600_000))).toBe("2026-01-01 23:00:00 (13h 0m ago)")
})

test("what is no moment stays as it is", () => {
  expect(shown("version 2026-01-02 of 12:00:00Z")).toBe("version 2026-01-02 of 12:00:00Z")
})
