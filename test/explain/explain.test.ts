import { describe, expect, test } from "bun:test"
import { explainRun } from "../../src/explain/explain.ts"
import type { RunExplanation, StepExplanation } from "../../src/explain/explanation.ts"
import type { ConcurrencyRecord } from "../../src/model/concurrency.ts"
import type { HostRecord } from "../../src/model/host.ts"
import type { JsonObject } from "../../src/model/json.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import type { Claim, Run, StepState } from "../../src/model/run.ts"
import { stepsOfRun } from "../../src/model/run-steps.ts"
import type { RunningProcess } from "../../src/model/running-process.ts"
import { pipelineOf } from "../rig/belt.ts"
import { shop, shopRun } from "../rig/shop.ts"

const at = "2026-01-01T00:00:00.000Z"
const later = "2026-01-01T00:05:00.000Z"
const now = Date.parse("2026-01-01T00:01:00.000Z")

type StepSource = PipelineSource["steps"][number]
const step = (id: string, more: Partial<StepSource> = {}): StepSource => ({ id, driver: "work", ...more })
const line = [step("build"), step("test"), step("ship")]
const fork = [
  step("left", { needs: [] }),
  step("right", { needs: [] }),
  step("join", { needs: ["left", "right"] }),
]

const hostOf = (hostId: string, more: Partial<HostRecord> = {}): HostRecord => ({
  hostId,
  folder: `folder of ${hostId}`,
  version: "1",
  startedAt: at,
  labels: {},
  load: { attempts: 0, attemptsMax: 4 },
  drivers: [{ name: "work", hash: "d", resources: [], type: "module", source: "work.ts" }],
  driverFaults: [],
  ...more,
})
const here = hostOf("host-a")
const full = { load: { attempts: 4, attemptsMax: 4 } }

const attempted = { attempt: 1, driverHash: "d", hostId: "host-a", startedAt: at }
const runs: StepState = { status: "running", ...attempted }
const ended = (status: "succeeded" | "failed" | "cancelled", message = ""): StepState => ({
  ...attempted,
  status,
  finishedAt: "2026-01-01T00:00:02.000Z",
  result: { success: status === "succeeded", message },
})
const ok = ended("succeeded")
const waits = (
  waitingFor: (StepState & { status: "waiting" })["waitingFor"],
  attempt = 0,
): StepState & { status: "waiting" } => ({ status: "waiting", waitingFor, since: at, attempt })
const timer = waits({ type: "timer", until: later }, 1)
const unresolved = waits({ type: "resolution", interrupted: attempted }, 1)

const pending: Run = shopRun
const running: Run = { ...pending, status: "running", startedAt: at, drivers: { work: "d" } }
const queued: Run = {
  ...pending,
  concurrency: { key: "deploy-prod", limit: 1, policy: "queue", queuedAt: at },
}
const keyHeld: ConcurrencyRecord = {
  key: "deploy-prod",
  holders: [{ runId: "other", since: at }],
  queue: [{ runId: "run", since: at, priority: 0 }],
}
const unpinned: Run = { ...pending, status: "running", startedAt: at }
const stopping = { status: "failed", message: 'step "build" failed' } as const

interface Situation {
  readonly run?: Run
  readonly pipeline?: Partial<PipelineSource>
  readonly states?: Readonly<Record<string, StepState>>
  /** Default: every step that runs is claimed. */
  readonly claims?: Readonly<Record<string, Claim>>
  readonly hosts?: readonly HostRecord[]
  readonly kept?: readonly string[]
  readonly lastLines?: Readonly<Record<string, string>>
  readonly spec?: JsonObject
  readonly key?: ConcurrencyRecord
  readonly processes?: Readonly<Record<string, readonly RunningProcess[]>>
}

function explained(situation: Situation): RunExplanation {
  const { run = running, states = {}, hosts = [here], kept = [], lastLines = {}, spec = {} } = situation
  const pipeline = pipelineOf({ steps: line, ...situation.pipeline })
  const known = new Map(Object.entries(states))
  const claimed = [...known].flatMap(([id, state]) =>
    state.status === "running" ? [[id, { hostId: state.hostId, attempt: state.attempt }] as const] : [],
  )
  return explainRun({
    run,
    pipeline,
    steps: stepsOfRun(run, pipeline),
    states: known,
    resource: { ...shop, spec },
    env: {},
    dataAt: () => undefined,
    claims: new Map(situation.claims === undefined ? claimed : Object.entries(situation.claims)),
    hosts,
    kept: new Set(kept),
    lastLines: new Map(Object.entries(lastLines)),
    concurrencyKey: situation.key,
    processes: new Map(Object.entries(situation.processes ?? {})),
    leaseTtlMs: 10_000,
    nowMs: now,
  })
}

function of(id: string, situation: Situation): StepExplanation {
  const found = explained(situation).steps.find((each) => each.id === id)
  if (found === undefined) throw new Error(`there is no step ${id}`)
  return found
}

/** Which step of which situation is explained with which words. */
const sentences: Readonly<Record<string, readonly [id: string, situation: Situation, message: string]>> = {
  "a step that waits for others": ["test", { states: { build: runs } }, 'waits for "build" (running)'],
  "one that is far from its turn": ["ship", { states: { build: runs } }, 'waits for "test" (pending)'],
  "one whose driver will be lacking, too": [
    "test",
    {
      run: unpinned,
      pipeline: { steps: [step("build"), step("test", { driver: "wrk" })] },
      states: { build: runs },
    },
    'waits for "build" (running); and no host has the driver "wrk" (did you mean "work"?); there is host-a',
  ],
  "one that will be skipped": [
    "join",
    { pipeline: { steps: fork, failFast: false }, states: { left: ended("failed"), right: runs } },
    'will be skipped once "right" (running) has ended, for step "left" before it did not succeed',
  ],
  "one whose condition is false already": [
    "test",
    {
      pipeline: {
        steps: [step("build"), step("test", { if: 'steps.build.data.ok && resource.spec.env == "prod"' })],
      },
      spec: { env: "dev" },
      states: { build: runs },
    },
    'will be skipped once "build" (running) has ended: its condition is false already: resource.spec.env == "prod" (resource.spec.env is "dev")',
  ],
  "a step that nothing keeps": ["build", {}, "nothing is in its way: host-a can start it now"],
  "a step whose workspace is on one of the hosts": [
    "test",
    { states: { build: { ...ok, hostId: "host-b" } as StepState }, hosts: [here, hostOf("host-b")] },
    "nothing is in its way: host-a, host-b can start it now; host-b goes first, for it has the workspace",
  ],
  "a step whose workspace is on a full host": [
    "test",
    { states: { build: { ...ok, hostId: "host-b" } as StepState }, hosts: [here, hostOf("host-b", full)] },
    "nothing is in its way: host-a can start it now; the workspace is on host-b, which cannot start it now",
  ],
  "a step whose workspace is gone with its host": [
    "test",
    { states: { build: { ...ok, hostId: "host-b" } as StepState } },
    "nothing is in its way: host-a can start it now; the workspace was on host-b, which is gone",
  ],
  "a step whose run waits for a key": [
    "build",
    { run: queued, key: keyHeld },
    'waits with its run for the concurrency key "deploy-prod"',
  ],
  "a step whose run is next, with nobody holding the key": [
    "build",
    { run: queued, key: { ...keyHeld, holders: [] } },
    "nothing is in its way: host-a can start it now",
  ],
  "a step whose run holds the key": [
    "build",
    { run: { ...pending, concurrency: { key: "deploy-prod", limit: 1, policy: "queue" } } },
    "nothing is in its way: host-a can start it now",
  ],
  "a step behind one whose run waits for a key": [
    "test",
    { run: queued, key: keyHeld },
    'waits for "build" (pending)',
  ],
  "a step while no host is alive": ["build", { hosts: [] }, "no host is alive"],
  "a step while all hosts are full": [
    "build",
    { hosts: [hostOf("host-a", full), hostOf("host-b", { load: { attempts: 2, attemptsMax: 2 } })] },
    "no host that can do it has a free slot: host-a runs 4 of 4, host-b runs 2 of 2",
  ],
  "a step that maxParallel keeps": [
    "right",
    { pipeline: { steps: fork, maxParallel: 1 }, states: { left: runs } },
    'its run may have 1 step running at a time, and has: "left"',
  ],
  "a step whose driver is misspelt": [
    "build",
    {
      run: unpinned,
      pipeline: { steps: [step("build", { driver: "wrk" })] },
      states: { build: waits({ type: "driver", driver: "wrk" }) },
    },
    `no host has the driver "wrk" (did you mean "work"?); there is host-a (since ${at})`,
  ],
  "a step whose wait for a driver is bounded": [
    "build",
    {
      run: unpinned,
      pipeline: { steps: [step("build", { driver: "paint", queueTimeout: 300_000 })] },
      states: { build: waits({ type: "driver", driver: "paint" }) },
    },
    `no host has the driver "paint"; there is host-a (since ${at}); it fails at ${later} if that stays so`,
  ],
  "a step whose driver is on a host without the labels": [
    "build",
    {
      run: unpinned,
      pipeline: { host: { gpu: "yes" } },
      hosts: [here, hostOf("host-b", { labels: { gpu: "yes" }, drivers: [] })],
    },
    'no host with the labels has the driver "work"; host-a has it, and lacks gpu=yes',
  ],
  "a step whose labels no host has": [
    "build",
    {
      pipeline: { host: { gpu: "yes", zone: "a" } },
      hosts: [here, hostOf("host-b", { labels: { zone: "a" } })],
      states: { build: waits({ type: "host", labels: { gpu: "yes", zone: "a" } }) },
    },
    `no host has gpu=yes,zone=a; the nearest is host-b, which lacks gpu=yes (since ${at})`,
  ],
  "a step whose pinned content is gone": [
    "build",
    {
      run: { ...running, drivers: { work: "0123456789abcdef" } },
      states: { build: waits({ type: "driver", driver: "work", hash: "0123456789abcdef" }) },
    },
    `the driver "work" as the run is pinned to it (0123456789ab) is gone from every host and from the store; host-a has it with other content (since ${at})`,
  ],
  "a step whose pinned content is in the store": [
    "build",
    { run: { ...running, drivers: { work: "old" } }, kept: ["old"] },
    "nothing is in its way: host-a can start it now",
  ],
  "a step whose driver has come": [
    "build",
    { run: unpinned, states: { build: waits({ type: "driver", driver: "work" }) } },
    "nothing is in its way: host-a can start it now",
  ],
  "a step between two attempts": [
    "build",
    {
      pipeline: { steps: [step("build", { retry: { attempts: 3, backoff: 1_000 } })] },
      states: { build: timer },
      lastLines: { build: "no route to host" },
    },
    `attempt 1 of 3 failed; the next one starts at ${later}; the last thing it logged: no route to host`,
  ],
  "a step whose wait is over": [
    "build",
    { states: { build: waits({ type: "timer", until: at }, 1) }, hosts: [hostOf("host-a", full)] },
    "no host that can do it has a free slot: host-a runs 4 of 4",
  ],
  "a step that waits for large data": [
    "test",
    {
      pipeline: { steps: [step("build"), step("test", { queueTimeout: 300_000 })] },
      states: { build: ok, test: waits({ type: "data", stepId: "build", bytes: 76_681, hostId: "host-b" }) },
    },
    `waits for host host-b, which has the data of step "build" (76681 bytes) and does not answer (since ${at}); it fails at ${later} if that stays so`,
  ],
  "a step that has to be resolved": [
    "build",
    { states: { build: unresolved } },
    `nobody knows how attempt 1 ended, which was cut off on host-a: say it with POST /runs/:id/steps/:step/resolve (since ${at})`,
  ],
  "a step that was resolved": [
    "build",
    {
      states: {
        build: {
          ...unresolved,
          resolution: { outcome: "succeeded", result: { success: true, message: "" } },
        },
      },
    },
    "somebody has said how attempt 1 ended; a host is about to take note",
  ],
  "a step that runs": [
    "build",
    { states: { build: runs }, pipeline: { steps: [step("build", { timeout: 90_000 })] } },
    `runs on host-a since ${at}; times out at 2026-01-01T00:01:30.000Z`,
  ],
  "a step whose timeout is an expression": [
    "build",
    {
      states: { build: { ...runs, attempt: 2 } },
      pipeline: { steps: [step("build", { timeout: `\${{ resource.spec.limit }}` })] },
      spec: { limit: "3m" },
    },
    `runs on host-a since ${at} (attempt 2); times out at 2026-01-01T00:03:00.000Z`,
  ],
  "a step that asks how an attempt ended": [
    "build",
    { states: { build: { ...runs, attempt: 2, probing: attempted } } },
    `finds out how attempt 1 ended on host-a since ${at}; times out at 2026-01-01T01:00:00.000Z`,
  ],
  "a step that has to end": [
    "right",
    { pipeline: { steps: fork }, states: { left: ended("failed"), right: runs } },
    `is told to end on host-a, where it runs since ${at}, for the run does without it`,
  ],
  "a step that has to end, and what of it is left": [
    "build",
    {
      run: { ...running, cancelRequestedAt: at },
      states: { build: runs },
      processes: { build: [{ pid: 42, command: "sleep 60" }] },
    },
    `is told to end on host-a, where it runs since ${at}, for the run does without it; still there: process 42 (sleep 60)`,
  ],
  "a step that has to end and runs no process": [
    "build",
    { run: { ...running, cancelRequestedAt: at }, states: { build: runs }, processes: { build: [] } },
    `is told to end on host-a, where it runs since ${at}, for the run does without it; no process of it is left: its driver has yet to return`,
  ],
  "a step that is killed": [
    "build",
    { run: { ...running, cancelRequestedAt: at, cancel: { kill: true } }, states: { build: runs } },
    `is killed on host-a, where it runs since ${at}, for the run does without it`,
  ],
  "a step whose host let it go": [
    "build",
    { states: { build: runs }, claims: {}, hosts: [hostOf("host-b")] },
    "attempt 1 was cut off: its host host-a is gone or let it go; another host takes it up now",
  ],
  "a step whose host is gone, and its claim is not": [
    "build",
    { states: { build: runs }, hosts: [hostOf("host-b")] },
    "attempt 1 was cut off: its host host-a is gone or let it go; another host takes it up within 10.0s, when its claim ends",
  ],
  "a step whose host is gone, with nobody to take it up": [
    "build",
    { states: { build: runs }, claims: {}, hosts: [hostOf("host-b", full)] },
    "attempt 1 was cut off: its host host-a is gone or let it go; nobody can take it up: no host that can do it has a free slot: host-b runs 4 of 4",
  ],
  "a step that is done once, with its code gone": [
    "build",
    {
      run: { ...running, drivers: { work: "gone" } },
      pipeline: { steps: [step("build", { effects: "once" })] },
      states: { build: runs },
      claims: {},
    },
    "attempt 1 was cut off: its host host-a is gone or let it go; it has to be resolved, for no host can find out how it ended",
  ],
  "a cut-off step that the run goes on without": [
    "right",
    { pipeline: { steps: fork }, states: { left: ended("failed"), right: runs }, claims: {} },
    "attempt 1 was cut off: its host host-a is gone or let it go; it is written off now",
  ],
  "a step that gets no other attempt": [
    "right",
    { pipeline: { steps: fork }, states: { left: ended("failed"), right: timer } },
    "gets no other attempt, for the run does without it",
  ],
  "a step that succeeded": ["build", { states: { build: ok } }, "succeeded on host-a after 2.0s"],
  "a step that failed at its second attempt": [
    "build",
    { states: { build: { ...ended("failed", "exit code 1"), attempt: 2 } as StepState } },
    "failed at attempt 2 on host-a after 2.0s: exit code 1",
  ],
  "a step that was cancelled": [
    "build",
    { states: { build: ended("cancelled", "cancelled: the run is stopping") } },
    "cancelled on host-a after 2.0s: the run is stopping",
  ],
  "a step that could not start": [
    "build",
    {
      states: {
        build: {
          status: "failed",
          attempt: 0,
          finishedAt: at,
          result: { success: false, message: "none came within 1m 0s" },
        },
      },
    },
    "failed before it could start: none came within 1m 0s",
  ],
  "a step whose result was kept": [
    "build",
    { states: { build: { ...ok, keptFrom: "earlier" } as StepState } },
    "succeeded on host-a after 2.0s in run earlier, whose result is kept",
  ],
  "a step behind one that failed": [
    "ship",
    { states: { build: ended("failed") } },
    'step "build" before it did not succeed',
  ],
  "a step whose condition was false": [
    "build",
    {
      pipeline: { steps: [step("build", { if: 'resource.spec.env == "prod" && resource.spec.n == 3' })] },
      spec: { env: "dev", n: 3 },
      states: {
        build: {
          status: "skipped",
          attempt: 0,
          finishedAt: at,
          condition: {
            expression: 'resource.spec.env == "prod" && resource.spec.n == 3',
            values: [{ expression: "resource.spec.env", value: "dev" }],
          },
        },
      },
    },
    'its condition is false: resource.spec.env == "prod" (resource.spec.env is "dev")',
  ],
  "a step whose condition is about to be false": [
    "build",
    { pipeline: { steps: [step("build", { if: "resource.spec.on" })] }, spec: { on: false } },
    "is about to be skipped: its condition is false: resource.spec.on (resource.spec.on is false)",
  ],
  "a step whose condition has no value": [
    "build",
    { pipeline: { steps: [step("build", { if: "resource.spec.on" })] } },
    'is about to fail: The expression "resource.spec.on" has no value: No such key: on',
  ],
  "a step that ensures": [
    "build.ensure",
    { pipeline: { steps: [step("build", { ensure: { driver: "work" } })] }, states: { build: runs } },
    'runs after "build" (running)',
  ],
  "a step that ensures what was never attempted": [
    "test.ensure",
    {
      pipeline: { steps: [step("build"), step("test", { ensure: { driver: "work" } })] },
      states: { build: ended("failed") },
    },
    'step "test" was not attempted in this run',
  ],
  "a last step while others run": [
    "tidy",
    { pipeline: { finally: [{ id: "tidy", driver: "work" }] }, states: { build: runs } },
    'cleans up at the end: waits for "build" (running), "test" (pending), "ship" (pending)',
  ],
  "a last step before the run is decided": [
    "tidy",
    { pipeline: { finally: [{ id: "tidy", driver: "work" }] }, states: { build: ok, test: ok, ship: ok } },
    "cleans up as soon as it is written down how the run ends",
  ],
  "a last step whose turn it is": [
    "tidy",
    {
      run: { ...running, stopping } as Run,
      pipeline: { finally: [{ id: "tidy", driver: "work" }] },
      states: { build: ended("failed") },
      hosts: [hostOf("host-a", full)],
    },
    "no host that can do it has a free slot: host-a runs 4 of 4",
  ],
  "a last step of a run that is held": [
    "tidy",
    {
      run: { ...running, held: { verdict: stopping, since: at, known: [] } } as Run,
      pipeline: { hold: 300_000, finally: [{ id: "tidy", driver: "work" }] },
      states: { build: ended("failed") },
    },
    `nothing starts while the run is held since ${at} until ${later}`,
  ],
  "a step that a cancel keeps": [
    "build",
    { run: { ...running, cancelRequestedAt: at } },
    "the run was over before it could start",
  ],
}

describe("the explanation of a step", () => {
  test.each(Object.entries(sentences))("says of %s why", (_, [id, situation, message]) => {
    expect(of(id, situation).message).toBe(message)
  })

  test("has the facts beside the sentence", () => {
    expect(of("build", { hosts: [hostOf("host-a", full)] }).reason).toEqual({
      type: "place",
      place: { type: "slots", hosts: [{ hostId: "host-a", attempts: 4, attemptsMax: 4 }] },
    })
    expect(of("test", { states: { build: runs } }).reason).toEqual({
      type: "blocked",
      by: [{ stepId: "build", status: "running" }],
    })
  })

  test("has its condition with what is known of it now", () => {
    const steps = [step("build"), step("test", { if: 'steps.build.data.ok && resource.spec.env == "dev"' })]
    const situation = { pipeline: { steps }, spec: { env: "dev" } }
    expect(of("test", { ...situation, states: { build: runs } }).condition).toEqual({
      expression: 'steps.build.data.ok && resource.spec.env == "dev"',
      implied: true,
      values: [
        { expression: "steps.build.data.ok", until: '"build" has ended' },
        { expression: "resource.spec.env", value: "dev" },
      ],
      outcome: "open",
    })
    expect(of("test", { ...situation, states: { build: ended("failed") } }).condition).toMatchObject({
      outcome: "false",
      falseParts: ["success()"],
      values: [{ expression: "success()", value: false }, {}, {}],
    })
    const done = { ...ok, result: { success: true, message: "", data: { ok: true } } } as StepState
    expect(of("test", { ...situation, states: { build: done, test: runs } }).condition).toMatchObject({
      outcome: "true",
      values: [{ value: true }, { value: "dev" }],
    })
  })

  test("leaves large data of a step open while it cannot be read", () => {
    const dataRef = { bytes: 76_681, sha256: "s", runId: "run", folder: "f", hostId: "host-a" }
    const large = { ...ok, result: { success: true, message: "", dataRef } } as StepState
    const pipeline = { steps: [step("build"), step("test", { if: "size(steps.build.data) > 1" })] }
    expect(of("test", { pipeline, states: { build: large } }).condition).toMatchObject({
      outcome: "open",
      values: [
        { expression: "steps.build.data", until: 'the data of "build" can be read, which is on host-a' },
      ],
    })
    // It was there when the condition was evaluated.
    expect(of("test", { pipeline, states: { build: large, test: runs } }).condition).toMatchObject({
      outcome: "true",
      values: [],
    })
  })

  test("reads metadata only once its expressions have been evaluated", () => {
    const pipeline = {
      metadata: { stage: `\${{ resource.spec.stage }}` },
      steps: [step("build"), step("test", { if: 'metadata.stage == "prod"' })],
    }
    expect(of("test", { run: pending, pipeline }).condition).toMatchObject({ outcome: "open" })
    const run = { ...running, values: { metadata: { stage: "prod" } } } as Run
    expect(of("test", { run, pipeline, states: { build: runs } }).condition).toMatchObject({
      outcome: "true",
    })
  })
})

/** Which situation of a run is explained with which words. */
const runSentences: Readonly<
  Record<string, readonly [situation: Situation, message: string, ends?: string]>
> = {
  "is running": [
    { states: { build: runs } },
    'it is running "build"',
    'it ends when "build", "test", "ship" have ended or are skipped',
  ],
  "waits for a driver": [
    { run: unpinned, hosts: [hostOf("host-a", { drivers: [] })] },
    '"build": no host has the driver "work"; there is host-a',
    'it ends when "build", "test", "ship" have ended or are skipped',
  ],
  "has no host": [
    { run: pending, hosts: [] },
    "no host is alive",
    'it ends when "build", "test", "ship" have ended or are skipped',
  ],
  "is running, and waits": [
    { pipeline: { steps: fork }, states: { left: runs, right: timer } },
    'it is running "left"; "right" waits',
    'it ends when "left", "right", "join" have ended or are skipped',
  ],
  "waits for a key": [
    { run: queued, key: keyHeld },
    `it waits since ${at} for the concurrency key "deploy-prod" (1 run at a time), held by run other since ${at}`,
    'it ends when "build", "test", "ship" have ended or are skipped',
  ],
  "replaces the run that has its key": [
    { run: { ...queued, concurrency: { ...queued.concurrency, policy: "replace" } } as Run, key: keyHeld },
    `it waits since ${at} for the concurrency key "deploy-prod" (1 run at a time), held by run other since ${at}, which is cancelled to make room for it`,
    'it ends when "build", "test", "ship" have ended or are skipped',
  ],
  "is not the first that waits for a key": [
    {
      run: queued,
      key: { ...keyHeld, queue: [{ runId: "urgent", since: later, priority: 9 }, ...keyHeld.queue] },
    },
    `it waits since ${at} for the concurrency key "deploy-prod" (1 run at a time), held by run other since ${at}; before it in the queue: run urgent`,
    'it ends when "build", "test", "ship" have ended or are skipped',
  ],
  "has so much time and no more": [
    { pipeline: { timeout: 300_000 }, states: { build: ok, test: ok, ship: runs } },
    'it is running "ship"',
    `it ends when "ship" has ended or is skipped; its time is over at ${later}`,
  ],
  "has its time anew, for it was mended": [
    {
      run: { ...running, mendedAt: later } as Run,
      pipeline: { timeout: 300_000 },
      states: { build: ok, test: ok, ship: runs },
    },
    'it is running "ship"',
    'it ends when "ship" has ended or is skipped; its time is over at 2026-01-01T00:10:00.000Z',
  ],
  "is held": [
    {
      run: { ...running, held: { verdict: stopping, since: at, known: [] } } as Run,
      pipeline: { hold: 300_000 },
      states: { build: ended("failed") },
    },
    `it is held since ${at}, for step "build" failed; save the mended pipeline or driver and it goes on there, or cancel it`,
    "it ends when its hold is over or it is mended",
  ],
  "was held, and is cancelled": [
    {
      run: { ...running, held: { verdict: stopping, since: at, known: [] }, cancelRequestedAt: at } as Run,
      pipeline: { hold: 300_000, finally: [{ id: "tidy", driver: "work" }] },
      states: { build: ended("failed"), tidy: runs },
    },
    `it is being cancelled since ${at}; it is running "tidy"`,
    'it ends when its cleanup, "tidy", is over',
  ],
  "is cancelled while a step runs": [
    { run: { ...running, cancelRequestedAt: at }, states: { build: runs } },
    `it is being cancelled since ${at}; "build" has to end`,
    'it ends when "build" has ended or is skipped',
  ],
  "cleans up": [
    {
      run: { ...running, stopping } as Run,
      pipeline: { finally: [{ id: "tidy", driver: "work" }] },
      states: { build: ended("failed"), tidy: runs },
    },
    'it is going to end as failed (step "build" failed); it is running "tidy"',
    'it ends when its cleanup, "tidy", is over',
  ],
  "has done everything": [
    { states: { build: ok, test: ok, ship: ok } },
    "all that it has to do is done, and a host is about to write down how it ends",
    "it ends as soon as a host has written that down",
  ],
  "has ended": [
    { run: { ...running, status: "failed", message: "no", finishedAt: at } as Run },
    "it has ended as failed: no",
  ],
}

describe("the explanation of a run", () => {
  test.each(Object.entries(runSentences))("says of one that %s why", (_, [situation, message, ends]) => {
    const found = explained(situation)
    expect(found.message).toBe(message)
    expect(found.ends).toBe(ends)
  })
})

test("a long run whose every step has a condition is explained before anybody waits", () => {
  const steps = Array.from({ length: 4_000 }, (_, index) =>
    step(`s${index}`, { if: index % 2 === 0 ? "resource.spec.n == 1" : `steps.s${index - 1}.data.n == 1` }),
  )
  const start = performance.now()
  const explanation = explained({ pipeline: { steps }, spec: { n: 1 } })
  expect(performance.now() - start).toBeLessThan(1_500)
  expect(explanation.steps.at(-1)?.condition?.values).toEqual([
    { expression: "steps.s3998.data.n", until: '"s3998" has ended' },
  ])
})
