import { expect, test } from "bun:test"
import {
  activeRunKey,
  claimKey,
  claimsPrefix,
  parseRunKey,
  prefixes,
  resourceVersionKey,
  resourceVersionsPrefix,
  runKey,
  stepKey,
  stepsPrefix,
} from "../../src/store/keys.ts"

test("a key under runs says what it is about", () => {
  expect(parseRunKey(runKey("r"))).toEqual({ type: "header", runId: "r" })
  expect(parseRunKey(activeRunKey("r"))).toEqual({ type: "active", runId: "r" })
  expect(parseRunKey(stepKey("r", "s"))).toEqual({ type: "step", runId: "r", stepId: "s" })
  expect(parseRunKey(claimKey("r", "s"))).toEqual({ type: "claim", runId: "r", stepId: "s" })
})

test("a key of a later version is not mistaken for one of ours", () => {
  expect(parseRunKey("runs/artifact/r")).toBeUndefined()
  expect(parseRunKey("runs/step/r")).toBeUndefined()
  expect(parseRunKey("runs/")).toBeUndefined()
})

test("all keys of runs lie under the prefix of runs", () => {
  for (const key of [runKey("r"), activeRunKey("r"), stepKey("r", "s"), claimKey("r", "s")])
    expect(key.startsWith(prefixes.runs)).toBe(true)
  expect(stepKey("r", "s").startsWith(stepsPrefix("r"))).toBe(true)
  expect(claimKey("r", "s").startsWith(claimsPrefix("r"))).toBe(true)
})

test("versions of a resource sort as numbers", () => {
  const keys = [2, 10, 1, 100_000].map((version) => resourceVersionKey("app", "web", version))
  expect(keys.toSorted()).toEqual([1, 2, 10, 100_000].map((n) => resourceVersionKey("app", "web", n)))
  expect(keys.every((key) => key.startsWith(resourceVersionsPrefix("app", "web")))).toBe(true)
})
