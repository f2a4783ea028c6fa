import { expect, test } from "bun:test"
import * as v from "valibot"
import { fits, formatLabels, labelsSchema, parseLabels } from "../../src/model/labels.ts"

test("labels are written as one text and read back", () => {
  expect(parseLabels("os=linux,gpu=yes")).toEqual({ os: "linux", gpu: "yes" })
  expect(parseLabels("")).toEqual({})
  expect(formatLabels({ os: "linux", gpu: "yes" })).toBe("gpu=yes,os=linux")
})

test.each(["gpu", "gpu=", "=yes", "gpu=yes=no", "gpu=yes,", "g pu=yes"])("%j is no labels", (text) => {
  expect(parseLabels(text)).toBeUndefined()
})

test("a host fits when it has every label that is asked for, with its value", () => {
  expect(fits({ os: "linux", gpu: "yes" }, { gpu: "yes" })).toBe(true)
  expect(fits({ os: "linux", gpu: "yes" }, {})).toBe(true)
  expect(fits({ gpu: "no" }, { gpu: "yes" })).toBe(false)
  expect(fits({}, { toString: "yes" })).toBe(false)
})

test("what YAML reads as a number or a boolean is its text as a label", () => {
  expect(v.parse(labelsSchema, { cores: 8, gpu: true })).toEqual({ cores: "8", gpu: "true" })
  expect(v.safeParse(labelsSchema, { gpu: "" }).success).toBe(false)
})
