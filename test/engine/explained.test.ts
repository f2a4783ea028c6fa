import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { HostView } from "../../src/engine/decision.ts"
import { plan } from "../../src/engine/plan.ts"
import { explainRun } from "../../src/explain/explain.ts"
import type { ConcurrencyRecord, RunConcurrency } from "../../src/model/concurrency.ts"
import type { HostRecord } from "../../src/model/host.ts"
import { fits } from "../../src/model/labels.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import type { Claim, Run, StepState } from "../../src/model/run.ts"
import { pipelineOf } from "../rig/belt.ts"
import { shop } from "../rig/shop.ts"

/*
 * What explains a run and what moves it are two pieces of code that look at the same records. Whatever these are, every
 * step has a reason; and what is said of who can start is what the hosts then do.
 */

const at = "2026-01-01T00:00:00.000Z"
const nowMs = Date.parse("2026-01-01T00:01:00.000Z")
const attempted = { attempt: 1, driverHash: "d", hostId: "host-0", startedAt: at }
const result = { success: false, message: "no" }
const waits = (
  waitingFor: (StepState & { status: "waiting" })["waitingFor"],
  attempt: number,
): StepState => ({
  status: "waiting",
  waitingFor,
  since: at,
  attempt,
})

const state: fc.Arbitrary<StepState | undefined> = fc.constantFrom<(StepState | undefined)[]>(
  undefined,
  undefined,
  { status: "succeeded", ...attempted, finishedAt: at, result: { success: true, message: "" } },
  { status: "succeeded", ...attempted, finishedAt: at, result: { success: true, message: "" } },
  { status: "failed", ...attempted, finishedAt: at, result },
  { status: "cancelled", ...attempted, finishedAt: at, result },
  { status: "failed", attempt: 0, finishedAt: at, result },
  { status: "skipped", attempt: 0, finishedAt: at, condition: { expression: "false", values: [] } },
  { status: "running", ...attempted },
  { status: "running", ...attempted, hostId: "gone" },
  { status: "pending", attempt: 1 },
  waits({ type: "timer", until: "2026-01-01T00:05:00.000Z" }, 1),
  waits({ type: "timer", until: at }, 1),
  waits({ type: "driver", driver: "work" }, 0),
  waits({ type: "host", labels: { gpu: "yes" } }, 0),
  waits({ type: "resolution", interrupted: attempted }, 1),
)

const condition = fc.constantFrom(
  undefined,
  undefined,
  "true",
  "false",
  "always()",
  "failure()",
  "resource.spec.missing",
  "success() || failure()",
)
const driver = fc.constantFrom("work", "work", "other")

const pipeline: fc.Arbitrary<Pipeline> = fc
  .record({
    steps: fc.array(
      fc.record({
        driver,
        if: condition,
        needs: fc.uniqueArray(fc.nat(4), { maxLength: 2 }),
        optional: fc.boolean(),
        ensures: fc.boolean(),
        once: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    last: fc.boolean(),
    maxParallel: fc.constantFrom(undefined, 1, 2),
    failFast: fc.boolean(),
    hold: fc.boolean(),
    host: fc.constantFrom(undefined, { gpu: "yes" }),
    policy: fc.constantFrom(undefined, "queue", "replace", "reject"),
  })
  .map(({ steps, last, hold, maxParallel, host, failFast, policy }) =>
    pipelineOf({
      ...(policy === undefined ? {} : { concurrency: { key: "k", policy } }),
      failFast,
      ...(maxParallel === undefined ? {} : { maxParallel }),
      ...(host === undefined ? {} : { host }),
      ...(hold ? { hold: 3_600_000 } : {}),
      ...(last ? { finally: [{ id: "last", driver: "work" }] } : {}),
      steps: steps.map((step, index): PipelineSource["steps"][number] => ({
        id: `s${index}`,
        driver: step.driver,
        ...(step.if === undefined ? {} : { if: step.if }),
        ...(step.ensures ? { ensure: { driver: "work" } } : {}),
        ...(step.once ? { effects: "once" } : {}),
        needs: step.needs
          .filter((need) => need < index)
          .map((need) => ({ step: `s${need}`, optional: step.optional })),
      })),
    }),
  )

const identity = {
  runId: "run",
  event: "create",
  resource: { type: "app", name: "shop", version: 1 },
  pipeline: { name: "release", hash: "h" },
  createdAt: at,
} as const
const verdict = { status: "failed", message: "no" } as const
const run: fc.Arbitrary<Run> = fc
  .tuple(
    fc.constantFrom<Run[]>(
      { ...identity, status: "pending" },
      { ...identity, status: "running", startedAt: at },
      { ...identity, status: "running", startedAt: at, stopping: verdict },
      { ...identity, status: "running", startedAt: at, stopping: { status: "succeeded", message: "" } },
      { ...identity, status: "running", startedAt: at, held: { verdict, since: at, known: ["d", "e"] } },
    ),
    fc.constantFrom(undefined, { work: "d" }, { work: "lost" }),
    fc.constantFrom({}, {}, { cancelRequestedAt: at }, {
      cancelRequestedAt: at,
      cancel: { cleanup: false },
    } as const),
  )
  .map(([header, drivers, cancel]) => ({ ...header, ...(drivers && { drivers }), ...cancel }) as Run)

const host: fc.Arbitrary<Omit<HostRecord, "hostId" | "folder">> = fc.record({
  version: fc.constant("1"),
  startedAt: fc.constant(at),
  labels: fc.constantFrom({}, { gpu: "yes" }),
  load: fc.constantFrom({ attempts: 0, attemptsMax: 2 }, { attempts: 1, attemptsMax: 1 }),
  drivers: fc
    .constantFrom(["work"], ["work", "other"], [] as string[])
    .map((names) =>
      names.map((name) => ({ name, hash: "d", resources: [], type: "module" as const, source: "" })),
    ),
  driverFaults: fc.constant([]),
})

/** What a run in the queue finds out about its key: `run` is this one. */
const keyRecord: fc.Arbitrary<ConcurrencyRecord | undefined> = fc
  .record({
    holders: fc.constantFrom(["a"], ["a", "b"], [] as string[]),
    queue: fc.constantFrom(["run"], ["c", "run"], ["run", "c"], ["c"]),
  })
  .map(({ holders, queue }) => ({
    key: "k",
    holders: holders.map((runId) => ({ runId, since: at })),
    queue: queue.map((runId) => ({ runId, since: at, priority: 0 })),
  }))

interface World {
  readonly key: ConcurrencyRecord | undefined
  readonly pipeline: Pipeline
  readonly run: Run
  readonly states: ReadonlyMap<string, StepState>
  readonly claims: ReadonlyMap<string, Claim>
  readonly hosts: readonly HostRecord[]
}

const world: fc.Arbitrary<World> = fc
  .record({
    pipeline,
    run,
    states: fc.array(state, { maxLength: 10 }),
    held: fc.boolean(),
    hosts: fc.array(host, { maxLength: 2 }),
    key: keyRecord,
  })
  .map(({ pipeline, run: header, states, held, hosts, key }) => {
    const isQueued = header.status === "pending" && pipeline.concurrency !== undefined
    const run = isQueued
      ? { ...header, concurrency: { ...pipeline.concurrency, queuedAt: at } as RunConcurrency }
      : header
    const known = new Map(
      pipeline.steps.flatMap(({ id }, index) => {
        const state = states[index]
        return state === undefined ? [] : [[id, state] as const]
      }),
    )
    const named = hosts.map(
      (record, index): HostRecord => ({
        ...record,
        hostId: `host-${index}`,
        folder: `folder-${index}`,
      }),
    )
    const claims = new Map(
      [...known].flatMap(([id, state]) =>
        held && state.status === "running" && named.some(({ hostId }) => hostId === state.hostId)
          ? [[id, { hostId: state.hostId, attempt: state.attempt }] as const]
          : [],
      ),
    )
    return { pipeline, run, states: known, claims, hosts: named, key }
  })

function explained({ pipeline, run, states, claims, hosts, key }: World) {
  return explainRun({
    run,
    pipeline,
    steps: pipeline.steps,
    states,
    resource: shop,
    env: {},
    dataAt: () => undefined,
    claims,
    hosts,
    kept: new Set(),
    lastLines: new Map(),
    concurrencyKey: key,
    processes: new Map(),
    leaseTtlMs: 10_000,
    nowMs,
  })
}

/** What this host does about the run; its attempts go on. */
function planned({ pipeline, run, states, claims, hosts, key }: World, here: HostRecord) {
  const wanted = pipeline.host ?? {}
  const others = hosts.filter((other) => other !== here && fits(other.labels, wanted))
  const has = ({ drivers }: HostRecord, is: (driver: HostRecord["drivers"][number]) => boolean) =>
    drivers.some(is)
  const view: HostView = {
    hostId: here.hostId,
    folder: here.folder,
    slots: here.load.attemptsMax - here.load.attempts,
    hashOf: (name) => here.drivers.find((driver) => driver.name === name)?.hash,
    locate: (hash) => {
      if (has(here, (driver) => driver.hash === hash)) return "here"
      return others.some((other) => has(other, (driver) => driver.hash === hash)) ? "elsewhere" : "nowhere"
    },
    fits: fits(here.labels, wanted),
    othersFit: others.length > 0,
    servedAs: () => ["d"],
    elsewhere: (name) => others.some((other) => has(other, (driver) => driver.name === name)),
    couldStart: (hostId, { name, hash }) =>
      others.some(
        (other) =>
          other.hostId === hostId &&
          other.load.attempts < other.load.attemptsMax &&
          has(other, (driver) => (hash === undefined ? driver.name === name : driver.hash === hash)),
      ),
    listening: () => [],
    readsResults: () => true,
  }
  const attempts = [...claims].filter(([, claim]) => claim.hostId === here.hostId)
  return plan(
    {
      run,
      pipeline,
      steps: pipeline.steps,
      states,
      claims,
      resource: shop,
      env: {},
      dataOf: () => undefined,
      caughtUp: true,
      left: new Map(),
      local: new Map(attempts.map(([id]) => [id, { attempt: 1, deadlineMs: 9e15, timeoutMs: 1 }])),
      host: view,
      dueMs: (since, durationMs) => Date.parse(since) + durationMs,
      concurrencyOf: () => key,
      isNewer: () => false,
    },
    { wallMs: nowMs, monotonicMs: nowMs },
  ).transitions
}

describe("what is explained and what is done", () => {
  test("no step of a run that has not ended is ever without a reason", () => {
    fc.assert(
      fc.property(world, (world) => {
        const { message, ends, steps } = explained(world)
        expect(message).not.toBe("")
        expect(ends).not.toBe("")
        expect(steps.map(({ id }) => id)).toEqual(world.pipeline.steps.map(({ id }) => id))
        for (const step of steps) expect(step.message).not.toBe("")
      }),
      { numRuns: 500 },
    )
  })

  test("what starts, or is skipped, was said to be free to", () => {
    const free = ["starting", "orphaned", "conditionDue"]
    fc.assert(
      fc.property(world, (world) => {
        const reasons = new Map(explained(world).steps.map(({ id, reason }) => [id, reason.type]))
        for (const here of world.hosts) {
          const transitions = planned(world, here)
          // What a plan ends may free other steps in the very same plan.
          if (transitions.some(({ type }) => type === "settle")) continue
          const begun = transitions.flatMap((each) =>
            each.type === "start" || each.type === "skip" ? [each.stepId] : [],
          )
          const surprising = begun.filter((id) => !free.includes(reasons.get(id) ?? ""))
          expect(surprising.map((id) => `${id} ${reasons.get(id)}`)).toEqual([])
        }
      }),
      { numRuns: 1_000 },
    )
  }, 60_000)

  test("what is said to be free to start does not wait for ever: some host moves the run", () => {
    fc.assert(
      fc.property(world, (world) => {
        const said = explained(world).steps.filter(
          ({ reason }) => reason.type === "starting" || reason.type === "conditionDue",
        )
        if (said.length === 0) return
        const moves = world.hosts.flatMap((here) => planned(world, here))
        expect(moves.length).toBeGreaterThan(0)
      }),
      { numRuns: 1_000 },
    )
  }, 60_000)
})
