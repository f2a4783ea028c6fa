import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import * as v from "valibot"
import { driverResultSchema, listensFor } from "../../src/model/driver.ts"
import {
  durationMsMax,
  durationSchema,
  formatDuration,
  nearestDuration,
  parseDuration,
} from "../../src/model/duration.ts"
import { resourceEventSchema } from "../../src/model/event.ts"
import { describeFault, type Fault } from "../../src/model/fault.ts"
import {
  canonicalJson,
  isJsonObject,
  type Json,
  jsonDepthMax,
  jsonObjectSchema,
  jsonSchema,
} from "../../src/model/json.ts"
import { isName, nameLengthMax, nameSchema } from "../../src/model/name.ts"
import { nearestName } from "../../src/model/nearest.ts"
import { definitionSourceSchema, resourceSourceSchema } from "../../src/model/resource.ts"

const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Json)

describe("a duration", () => {
  test.each<readonly [string, number | undefined]>([
    ["500ms", 500],
    ["10m", 600_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1_500],
    ["1d", 86_400_000],
    ["0s", 0],
    ["24d20h31m23s647ms", durationMsMax],
    ["25d", undefined],
    ["", undefined],
    ["10", undefined],
    ["s", undefined],
    ["1m ", undefined],
    ["-1s", undefined],
    ["1x", undefined],
  ])("reads %p as %p ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test("of whole units is the sum of its parts", () => {
    const part = fc.nat({ max: 99 })
    fc.assert(
      fc.property(part, part, part, (h, m, s) => {
        expect(parseDuration(`${h}h${m}m${s}s`)).toBe(((h * 60 + m) * 60 + s) * 1_000)
      }),
    )
  })

  test.each<readonly [number, string]>([
    [0, "0ms"],
    [999.4, "999ms"],
    [1_500, "1.5s"],
    [125_000, "2m 5s"],
    [3_780_000, "1h 3m"],
  ])("of %p ms is shown as %p", (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  test.each<readonly [string, string | undefined]>([
    ["5 minutes", "5m"],
    ["1.5 Hours", "1.5h"],
    ["10sec", "10s"],
    ["2 days", "2d"],
    ["300 milliseconds", "300ms"],
    [" 5m ", "5m"],
    ["30", "30s"],
    ["5m", undefined],
    ["99 days", undefined],
    ["soon", undefined],
    ["1e9", undefined],
  ])("that %p was meant for is %p", (text, nearest) => {
    expect(nearestDuration(text)).toBe(nearest as string)
  })

  test("may be a number of milliseconds, and says what it may be otherwise", () => {
    expect(v.parse(durationSchema, 250)).toBe(250)
    expect(v.parse(durationSchema, "2s")).toBe(2_000)
    for (const wrong of [-1, durationMsMax + 1, "soon", true, null]) {
      expect(v.safeParse(durationSchema, wrong).issues?.[0].message).toStartWith(
        "Expected a duration such as",
      )
    }
  })
})

describe("JSON", () => {
  test("is accepted for any JSON value", () => {
    fc.assert(fc.property(json, (value) => v.is(jsonSchema, value)))
  })

  test.each([
    [undefined],
    [1n],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [new Date()],
    [() => 1],
    [{ a: undefined }],
  ])("is not %p", (value) => {
    expect(v.is(jsonSchema, value)).toBe(false)
  })

  test("is refused when nested too deep", () => {
    const nested = (depth: number): Json => (depth === 0 ? 1 : [nested(depth - 1)])
    expect(v.is(jsonSchema, nested(jsonDepthMax))).toBe(true)
    expect(v.is(jsonSchema, nested(jsonDepthMax + 1))).toBe(false)
  })

  test("objects are neither null nor lists", () => {
    expect([{}, Object.create(null), null, [], "a"].map(isJsonObject)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ])
    expect(v.is(jsonObjectSchema, [])).toBe(false)
    expect(v.is(jsonObjectSchema, { a: Number.NaN })).toBe(false)
  })

  test("has one text for one value, whatever the order of its fields", () => {
    const shuffled = (value: Json): Json => {
      if (Array.isArray(value)) return value.map(shuffled)
      if (!isJsonObject(value)) return value
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, field]) => [key, shuffled(field)]),
      )
    }
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value))
        expect(JSON.parse(canonicalJson(value))).toEqual(value)
      }),
    )
  })

  test("has different texts for different values", () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(canonicalJson(a) === canonicalJson(b)).toBe(Bun.deepEquals(a, b))
      }),
    )
  })

  test("leaves out fields that are undefined", () => {
    expect(canonicalJson({ b: 1, a: undefined } as unknown as Json)).toBe('{"b":1}')
  })
})

describe("a name", () => {
  test.each<readonly [string, boolean]>([
    ["a", true],
    ["driver-1.2_b", true],
    ["x".repeat(nameLengthMax), true],
    ["x".repeat(nameLengthMax + 1), false],
    ["", false],
    ["-a", false],
    ["a.", false],
    ["a..b", false],
    ["a/b", false],
    ["a b", false],
    ["ä", false],
    ["a\0", false],
    ["a\n", false],
  ])("%p is %p", (name, valid) => {
    expect(isName(name)).toBe(valid)
    expect(v.is(nameSchema, name)).toBe(valid)
  })

  test("needs no escaping in a key, a path or a URL", () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        if (isName(name)) expect([encodeURIComponent(name), name.includes("/")]).toEqual([name, false])
      }),
    )
  })
})

describe("the nearest name", () => {
  test.each<readonly [string, readonly string[], string | undefined]>([
    ["biuld", ["test", "build"], "build"],
    ["Shel", ["shell", "git"], "shell"],
    ["drver", ["driver", "needs"], "driver"],
    ["x", ["y"], "y"],
    ["deploy", ["build", "test"], undefined],
    ["a", [], undefined],
    ["same", ["some", "same"], "same"],
  ])("to %p among %p is %p", (name, candidates, nearest) => {
    expect(nearestName(name, candidates)).toBe(nearest)
  })

  test("to one of the candidates is that one", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1 }), (names) => {
        for (const name of names) expect(nearestName(name, names)).toBe(name)
      }),
    )
  })
})

describe("a fault", () => {
  test.each<readonly [Fault, string]>([
    [{ message: "m" }, "m"],
    [{ message: "m", path: "/a" }, "/a: m"],
    [{ message: "m", path: "/a", file: "f" }, "f: m"],
    [{ message: "m", file: "f", line: 2, column: 3, nearest: "n" }, 'f:2:3: m (did you mean "n"?)'],
    [{ message: "m", file: "f", column: 3 }, "f: m"],
  ])("%p is said as %p", (fault, said) => {
    expect(describeFault(fault)).toBe(said)
  })
})

describe("a driver result", () => {
  test("is a success when nothing was returned", () => {
    for (const nothing of [undefined, null]) {
      expect(v.parse(driverResultSchema, nothing)).toEqual({ success: true, message: "" })
    }
  })

  test("keeps its data and implies an empty message", () => {
    expect(v.parse(driverResultSchema, { success: false, data: { a: 1 }, extra: 1 })).toEqual({
      success: false,
      message: "",
      data: { a: 1 },
    })
  })

  test.each([[{ sucess: true }], ["ok"], [{ success: "yes" }], [{ success: true, data: 1n }]])(
    "is not %p",
    (wrong) => {
      expect(v.is(driverResultSchema, wrong)).toBe(false)
    },
  )
})

test("a driver listens for the kinds it names, and for all with a star", () => {
  expect([listensFor(["app"], "app"), listensFor(["*"], "app"), listensFor(["web"], "app")]).toEqual([
    true,
    true,
    false,
  ])
})

test("an event is one of three", () => {
  expect(v.parse(resourceEventSchema, "delete")).toBe("delete")
  expect(v.safeParse(resourceEventSchema, "made").issues?.[0].message).toBe(
    'Expected one of "create", "update", "delete"',
  )
})

test("a resource may name no pipeline in any of the older ways, and unknown fields are dropped", () => {
  const plain = { name: "a", resource: "app" }
  expect(
    v.parse(resourceSourceSchema, { ...plain, pipeline: "", metadata: null, id: 7 }).pipeline,
  ).toBeUndefined()
  expect(v.parse(resourceSourceSchema, { ...plain, pipeline: "p" }).pipeline).toBe("p")
  expect(v.is(resourceSourceSchema, { ...plain, name: "../a" })).toBe(false)
})

test("a resource definition's schema is a mapping or a boolean", () => {
  expect(v.is(definitionSourceSchema, { name: "a", schema: false })).toBe(true)
  expect(v.is(definitionSourceSchema, { name: "a", schema: [] })).toBe(false)
})
