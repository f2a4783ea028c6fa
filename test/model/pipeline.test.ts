import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import * as v from "valibot"
import {
  canonicalPipeline,
  isStepId,
  type Pipeline,
  startsOn,
  stepsMax,
  timeoutMsDefault,
} from "../../src/model/pipeline.ts"
import { pipelineSourceSchema } from "../../src/model/pipeline-source.ts"
import { resolvePipeline } from "../../src/model/resolve-pipeline.ts"

const resolve = (source: object) => {
  const whole = { name: "p", resource: "app", ...source }
  return resolvePipeline(v.parse(pipelineSourceSchema, whole))
}
const pipelineOf = (source: object): Pipeline => {
  const resolved = resolve(source)
  if ("faults" in resolved) throw new Error(resolved.faults.map(({ message }) => message).join("; "))
  return resolved.pipeline
}
const faultsOf = (source: object) => {
  const resolved = resolve(source)
  return "faults" in resolved ? resolved.faults : []
}

describe("a pipeline", () => {
  test("writes out what its source implies", () => {
    expect(pipelineOf({ steps: [{ driver: "git" }, { id: "b", driver: "shell" }] })).toEqual({
      name: "p",
      resource: "app",
      on: ["create"],
      metadata: {},
      steps: [
        { id: "git", driver: "git", needs: [], timeoutMs: timeoutMsDefault },
        { id: "b", driver: "shell", needs: ["git"], timeoutMs: timeoutMsDefault },
      ],
    })
  })

  test("keeps what its source says", () => {
    const step = {
      id: "a",
      name: "A",
      driver: "git",
      with: { x: 1 },
      needs: [],
      timeout: "1m",
      retry: { attempts: 3 },
    }
    const given = { description: "d", version: "2", on: ["delete"], metadata: { m: 1 } }
    expect(pipelineOf({ ...given, steps: [step] })).toMatchObject({
      ...given,
      steps: [{ name: "A", with: { x: 1 }, timeoutMs: 60_000, retry: { attempts: 3, backoffMs: 0 } }],
    })
  })

  test("numbers the ids of a driver that stands in it twice, around the ids that are taken", () => {
    const steps = [{ driver: "sh" }, { driver: "sh" }, { id: "sh-3", driver: "git" }, { driver: "sh" }]
    expect(pipelineOf({ steps }).steps.map(({ id }) => id)).toEqual(["sh", "sh-2", "sh-3", "sh-4"])
  })

  test("drops needs that are named twice", () => {
    expect(
      pipelineOf({ steps: [{ driver: "a" }, { driver: "b", needs: ["a", "a"] }] }).steps[1]?.needs,
    ).toEqual(["a"])
  })

  test("drops fields it does not know", () => {
    expect(pipelineOf({ steps: [{ driver: "a", colour: "red" }], owner: 1 })).toEqual(
      pipelineOf({ steps: [{ driver: "a" }] }),
    )
  })

  test("starts for the events it names", () => {
    const pipeline = pipelineOf({ steps: [{ driver: "a" }], on: ["update"] })
    expect([startsOn(pipeline, "update"), startsOn(pipeline, "create")]).toEqual([true, false])
  })

  test.each([
    [{ steps: [] }],
    [{ steps: "git" }],
    [{ steps: [{}] }],
    [{ steps: [{ driver: "a" }], on: [] }],
    [{ steps: [{ driver: "a", retry: { attempts: 0 } }] }],
    [{ steps: [{ driver: "a", retry: { attempts: 1.5 } }] }],
    [{ steps: [{ driver: "a", timeout: "soon" }] }],
    [{ steps: [{ driver: "a/b" }] }],
    [{ steps: Array.from({ length: stepsMax + 1 }, () => ({ driver: "a" })) }],
    [{ kind: "Other", steps: [{ driver: "a" }] }],
  ])("is refused when its source does not validate", (source) => {
    expect(v.is(pipelineSourceSchema, { name: "p", resource: "app", ...source })).toBe(false)
  })
})

describe("a graph", () => {
  test("with an id twice and unknown needs has all of them as faults", () => {
    const steps = [
      { id: "build", driver: "a" },
      { id: "build", driver: "b", needs: ["biuld", "zzzzzz"] },
    ]
    expect(faultsOf({ steps }).map(({ path, nearest }) => ({ path, nearest }))).toEqual([
      { path: "/steps/1/id", nearest: undefined },
      { path: "/steps/1/needs/0", nearest: "build" },
      { path: "/steps/1/needs/1", nearest: undefined },
    ])
    expect(faultsOf({ steps })[2]?.message).toBe('No step has the id "zzzzzz"; expected one of "build"')
  })

  test("with a cycle names the steps along it", () => {
    const steps = [
      { id: "start", driver: "a" },
      { id: "x", driver: "a", needs: ["start", "z"] },
      { id: "y", driver: "a", needs: ["x"] },
      { id: "z", driver: "a", needs: ["y"] },
    ]
    expect(faultsOf({ steps })).toEqual([
      { message: "The steps wait for each other: x → z → y → x", path: "/steps/1/needs" },
    ])
  })

  test("of many steps lists only the first ids in a fault", () => {
    const steps = Array.from({ length: 20 }, (_, n) => ({
      id: `s${n}`,
      driver: "a",
      needs: n === 0 ? ["nowhere-near"] : [],
    }))
    expect(faultsOf({ steps })[0]?.message).toEndWith('"s7", …')
  })

  test("as long as may be is read without overflow", () => {
    const steps = Array.from({ length: stepsMax }, () => ({ driver: "a" }))
    expect(pipelineOf({ steps }).steps).toHaveLength(stepsMax)
  })

  test("has a cycle exactly when no order of its steps puts every step after its needs", () => {
    const graph = fc.nat({ max: 7 }).chain((last) =>
      fc.array(fc.uniqueArray(fc.nat({ max: last }), { maxLength: 3 }), {
        minLength: last + 1,
        maxLength: last + 1,
      }),
    )
    fc.assert(
      fc.property(graph, (needs) => {
        const steps = needs.map((ids, n) => ({ id: `s${n}`, driver: "a", needs: ids.map((id) => `s${id}`) }))
        expect(faultsOf({ steps }).length === 0).toBe(isOrderable(needs))
      }),
    )
  })
})

/** Takes away what waits for nothing until nothing is left, or nothing goes. */
function isOrderable(needs: readonly (readonly number[])[]): boolean {
  const done = new Set<number>()
  for (let before = -1; before < done.size; ) {
    before = done.size
    for (const [step, ids] of needs.entries()) if (ids.every((id) => done.has(id))) done.add(step)
  }
  return done.size === needs.length
}

test("a pipeline's canonical text differs exactly when the pipeline does", () => {
  const one = pipelineOf({ steps: [{ driver: "a", with: { x: 1, y: 2 } }] })
  const same = pipelineOf({ steps: [{ with: { y: 2, x: 1 }, driver: "a" }] })
  const other = pipelineOf({ steps: [{ driver: "a", with: { x: 1, y: 3 } }] })
  expect(canonicalPipeline(one)).toBe(canonicalPipeline(same))
  expect(canonicalPipeline(one)).not.toBe(canonicalPipeline(other))
})

test("a driver's name is a valid id of a step", () => {
  expect([isStepId("docker-build"), isStepId("a/b")]).toEqual([true, false])
})
