import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { commitOf, takeIn } from "../../src/engine/apply.ts"
import type { LocalAttempt } from "../../src/engine/decision.ts"
import { ObservedRun } from "../../src/engine/observe.ts"
import { plan } from "../../src/engine/plan.ts"
import type { HeldLease } from "../../src/hosts/host-lease.ts"
import type { DriverResult } from "../../src/model/driver.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { isEnded, type Run, type StepState } from "../../src/model/run.ts"
import { activeRunKey, parseRunKey, runKey, stepsPrefix } from "../../src/store/keys.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import type { Change, Store } from "../../src/store/store.ts"
import { hashOf, holdLease, pipelineOf, submit } from "../rig/belt.ts"
import { noKeys } from "../rig/no-keys.ts"

/*
 * Hosts that plan and commit on what each of them happens to have seen, in an order that the generator picks: news
 * arrive late, hosts die and lose their leases, attempts fail, somebody cancels. The store is real; only the drivers
 * and the order of things are the test's.
 */

const stepCountMax = 6

/** A graph in which each step needs some of the steps before it, so that it has no cycle. */
const graph: fc.Arbitrary<Pipeline> = fc
  .array(
    fc.record({
      needs: fc.uniqueArray(fc.nat(stepCountMax), { maxLength: 3 }),
      retries: fc.integer({ min: 1, max: 2 }),
    }),
    { minLength: 1, maxLength: stepCountMax },
  )
  .map((steps) =>
    pipelineOf({
      steps: steps.map(({ needs, retries }, index): PipelineSource["steps"][number] => ({
        id: `s${index}`,
        driver: "work",
        needs: needs.filter((need) => need < index).map((need) => `s${need}`),
        retry: { attempts: retries, backoff: 0 },
      })),
    }),
  )

type Move =
  | { readonly type: "work" | "hear" | "die"; readonly host: number }
  | { readonly type: "finish"; readonly host: number; readonly success: boolean }
  | { readonly type: "cancel" }

const host = fc.nat(1)
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant("work" as const), host }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("hear" as const), host }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("finish" as const),
      host,
      success: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, fc.constant(false)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("die" as const), host }) },
  { weight: 1, arbitrary: fc.constant({ type: "cancel" as const }) },
)

/** One host: what it has seen of the run, and the attempts it runs. */
class SimulatedHost {
  readonly hostId: string
  readonly #store: Store
  readonly #world: World
  #held: HeldLease
  #observed: ObservedRun
  readonly #local = new Map<string, LocalAttempt>()
  #position: number

  constructor(hostId: string, world: World, held: HeldLease) {
    this.hostId = hostId
    this.#world = world
    this.#store = world.store
    this.#held = held
    this.#observed = new ObservedRun(world.runId, { complete: true, madeAt: 1 })
    this.#position = 0
  }

  /** Takes in one more batch of what happened; all of it, with `all`. */
  hear(options: { all?: boolean } = {}): void {
    const { history } = this.#world
    const end = options.all ? history.length : Math.min(this.#position + 1, history.length)
    for (const change of history.slice(this.#position, end).flat()) {
      const key = parseRunKey(change.type === "put" ? change.entry.key : change.key)
      if (key !== undefined) this.#observed.observe(key, change)
    }
    this.#position = end
  }

  /** Plans once and applies it. Answers whether there was anything to do. */
  async work(): Promise<boolean> {
    const { header } = this.#observed
    if (header === undefined) return false
    const heard = this.#world.revisionAt(this.#position)
    const { transitions, effects } = plan(
      {
        run: header,
        steps: this.#world.pipeline.steps,
        states: this.#observed.states,
        claims: this.#observed.claims,
        env: {},
        caughtUp: heard >= this.#observed.headerRevision,
        local: this.#local,
        left: new Map(),
        host: {
          hostId: this.hostId,
          folder: this.hostId,
          slots: 2 - this.#local.size,
          hashOf: () => "d",
          fits: true,
          othersFit: false,
          locate: () => "here",
          readsResults: () => true,
          servedAs: () => [],
          elsewhere: () => true,
          couldStart: () => false,
          listening: () => [],
        },
        concurrencyOf: () => undefined,
        isNewer: () => false,
        dataOf: () => undefined,
        dueMs: () => 0,
      },
      { wallMs: this.#world.tick(), monotonicMs: 0 },
    )
    for (const effect of effects) {
      if (effect.type === "launch") {
        this.#world.started(effect.stepId, effect.attempt)
        this.#local.set(effect.stepId, { attempt: effect.attempt, deadlineMs: 1, timeoutMs: 1 })
      } else if (effect.type === "abort") {
        const local = this.#local.get(effect.stepId) as LocalAttempt
        this.#local.set(effect.stepId, { ...local, aborted: effect.reason })
      } else if (effect.type === "discard") {
        this.#local.delete(effect.stepId)
      }
    }
    if (transitions.length === 0) return effects.length > 0
    const { guards, writes, taken } = commitOf(this.#observed, transitions, this.#held, noKeys)
    const revision = await this.#store.commit(guards, writes)
    if (revision === undefined) {
      // As the engine does: what conflicted is read anew. Hearing everything is the same.
      await this.#world.settled()
      this.hear({ all: true })
      return true
    }
    takeIn(this.#observed, taken, { revision, keys: noKeys })
    for (const transition of taken) {
      if (transition.type === "settle" || transition.type === "release") this.#local.delete(transition.stepId)
    }
    return true
  }

  finish(success: boolean): boolean {
    for (const [stepId, local] of this.#local) {
      if (local.outcome !== undefined) continue
      const outcome: DriverResult = { success: success && local.aborted === undefined, message: "" }
      this.#local.set(stepId, { ...local, outcome })
      return true
    }
    return false
  }

  /** Dies and comes back as a new host that knows only what it reads. */
  async die(): Promise<void> {
    await this.#store.revoke(this.#held.lease)
    await this.#world.settled()
    this.#held = await holdLease(this.#store, this.hostId)
    this.#local.clear()
    this.#observed = new ObservedRun(this.#world.runId, { complete: true, madeAt: 1 })
    this.#position = 0
    this.hear({ all: true })
  }
}

/** The store, its whole history, and the invariants that every change of it must keep. */
class World {
  readonly store: Store
  readonly pipeline: Pipeline
  readonly runId: string
  readonly history: (readonly Change[])[] = []
  readonly #states = new Map<string, StepState>()
  readonly #claims = new Map<string, string>()
  readonly #launched = new Set<string>()
  #header: Run | undefined
  #clock = 0

  constructor(store: Store, pipeline: Pipeline, runId: string) {
    this.store = store
    this.pipeline = pipeline
    this.runId = runId
  }

  tick(): number {
    return ++this.#clock * 1_000
  }

  revisionAt(position: number): number {
    const last = this.history[position - 1]?.at(-1)
    return last === undefined ? 0 : last.type === "put" ? last.entry.modRevision : last.modRevision
  }

  async follow(signal: AbortSignal): Promise<void> {
    for await (const changes of this.store.watch("runs/", 0, signal)) {
      // A batch may hold several revisions; a host hears them one by one.
      const byRevision = Map.groupBy(changes, (change) =>
        change.type === "put" ? change.entry.modRevision : change.modRevision,
      )
      for (const part of byRevision.values()) {
        this.history.push(part)
        for (const change of part) this.#observe(change)
      }
    }
  }

  /** Resolves once the history holds everything that is committed: a mark of its own comes after all of it. */
  async settled(): Promise<void> {
    const key = activeRunKey("settled")
    const revision = (await this.store.commit([], [{ type: "put", key, value: "" }])) ?? 0
    while (this.revisionAt(this.history.length) < revision) await new Promise(setImmediate)
  }

  /** A driver was started: each attempt is started once, by one host. */
  started(stepId: string, attempt: number): void {
    const name = `${stepId}#${attempt}`
    if (this.#launched.has(name)) throw new Error(`${name} was started twice`)
    this.#launched.add(name)
  }

  #observe(change: Change): void {
    const key = parseRunKey(change.type === "put" ? change.entry.key : change.key)
    if (key === undefined) return
    if (key.type === "header" && change.type === "put")
      this.#observeHeader(JSON.parse(change.entry.value) as Run)
    if (key.type === "step" && change.type === "put") {
      this.#observeState(key.stepId, JSON.parse(change.entry.value) as StepState)
    }
    if (key.type === "claim") {
      if (change.type === "delete") this.#claims.delete(key.stepId)
      else {
        if (this.#claims.has(key.stepId)) throw new Error(`${key.stepId} was claimed while it was claimed`)
        this.#claims.set(key.stepId, change.entry.value)
      }
    }
  }

  #observeHeader(run: Run): void {
    if (this.#header !== undefined && isEnded(this.#header.status)) throw new Error("a run ended twice")
    this.#header = run
    if (!isEnded(run.status)) return
    for (const [stepId, state] of this.#states) {
      if (state.status === "running") throw new Error(`the run ended while ${stepId} was running`)
    }
  }

  #observeState(stepId: string, state: StepState): void {
    const before = this.#states.get(stepId)
    if (this.#header !== undefined && isEnded(this.#header.status))
      throw new Error("a step changed after the end")
    if (before !== undefined && "result" in before) throw new Error(`a result of ${stepId} was applied twice`)
    if (state.status === "running") {
      const step = this.pipeline.steps.find(({ id }) => id === stepId)
      for (const need of step?.needs ?? []) {
        if (this.#states.get(need)?.status !== "succeeded")
          throw new Error(`${stepId} started before ${need}`)
      }
      if (state.attempt !== (before?.attempt ?? 0) + 1) throw new Error(`${stepId} skipped an attempt`)
    }
    this.#states.set(stepId, state)
  }
}

describe("whatever the order of things", () => {
  test("a step starts only after its needs, once per attempt, and every run ends once", async () => {
    await fc.assert(
      fc.asyncProperty(graph, fc.array(move, { maxLength: 60 }), async (pipeline, moves) => {
        await using store = await openSqlite(":memory:")
        const runId = await submit(store, { pipeline })
        const world = new World(store, pipeline, runId)
        using stop = abortable()
        const following = world.follow(stop.signal)
        await world.settled()
        const hosts = [
          new SimulatedHost("a", world, await holdLease(store, "a")),
          new SimulatedHost("b", world, await holdLease(store, "b")),
        ]
        for (const next of moves) await make(next, { hosts, store, runId, world })
        const run = await runToTheEnd(hosts, { store, runId, world })
        stop.abort()
        await following
        expect(["succeeded", "failed", "cancelled"]).toContain(run.status)
        expect(run.pipeline?.hash).toBe(hashOf(pipeline))
        await expectConsistentEnd(store, run)
      }),
      { numRuns: 1_000 },
    )
  }, 60_000)
})

interface Scene {
  readonly hosts: readonly SimulatedHost[]
  readonly store: Store
  readonly runId: string
  readonly world: World
}

async function make(next: Move, { hosts, store, runId, world }: Scene): Promise<void> {
  switch (next.type) {
    case "work":
      await hosts[next.host]?.work()
      break
    case "hear":
      await world.settled()
      hosts[next.host]?.hear()
      break
    case "finish":
      hosts[next.host]?.finish(next.success)
      break
    case "die":
      await hosts[next.host]?.die()
      break
    case "cancel":
      await cancel(store, runId)
      break
    default:
      next satisfies never
  }
}

/** From here on all goes well: everybody hears everything, and every attempt comes to an end. */
async function runToTheEnd(
  hosts: readonly SimulatedHost[],
  { store, runId, world }: Omit<Scene, "hosts">,
): Promise<Run> {
  for (let round = 0; round < 500; round++) {
    for (const simulated of hosts) {
      await world.settled()
      simulated.hear({ all: true })
      while (await simulated.work()) {
        await world.settled()
        simulated.hear({ all: true })
      }
      simulated.finish(true)
    }
    const entry = await store.get(runKey(runId))
    const run = JSON.parse(entry?.value ?? "") as Run
    if (isEnded(run.status)) return run
  }
  throw new Error("the run never ended")
}

async function cancel(store: Store, runId: string): Promise<void> {
  const entry = await store.get(runKey(runId))
  const run = JSON.parse(entry?.value ?? "") as Run
  if (entry === undefined || isEnded(run.status)) return
  const value = JSON.stringify({ ...run, cancelRequestedAt: "2026-01-01T00:00:00.000Z" })
  await store.commit(
    [{ key: entry.key, modRevision: entry.modRevision }],
    [{ type: "put", key: entry.key, value }],
  )
}

async function expectConsistentEnd(store: Store, run: Run): Promise<void> {
  const { entries } = await store.list(stepsPrefix(run.runId))
  const statuses = entries.map(({ value }) => (JSON.parse(value) as StepState).status)
  expect((await store.list("runs/claim/")).entries).toEqual([])
  expect(await store.get(activeRunKey(run.runId))).toBeUndefined()
  expect(statuses).not.toContain("running")
  if (run.status === "succeeded") expect(statuses).not.toContain("failed")
  if (run.status === "failed") expect(statuses).toContain("failed")
}

function abortable(): Disposable & { readonly signal: AbortSignal; abort(): void } {
  const controller = new AbortController()
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    [Symbol.dispose]: () => controller.abort(),
  }
}
