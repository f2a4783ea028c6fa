import { describe, expect, test } from "bun:test"
import type { DataState } from "../../src/engine/data-state.ts"
import type { HostView, LocalAttempt, Observed, Plan } from "../../src/engine/decision.ts"
import { plan } from "../../src/engine/plan.ts"
import type { ConcurrencyRecord } from "../../src/model/concurrency.ts"
import type { Pipeline, PipelineStep } from "../../src/model/pipeline.ts"
import type { Claim, Resolution, Run, StepState } from "../../src/model/run.ts"
import { shop, shopRun } from "../rig/shop.ts"

const at = "2026-01-01T00:00:00.000Z"
const now = { wallMs: Date.parse(at), monotonicMs: 1_000 }
const here = "host-a"

const pending: Run = shopRun
const pins = { build: "d", test: "d", ship: "d", left: "d", right: "d", join: "d" }
const logs = [{ folder: "folder-a", hostId: here }]
const running: Run = { ...pending, status: "running", startedAt: at, drivers: pins, logs }
const failing = { status: "failed", message: 'step "build" failed' } as const

const step = (id: string, needs: readonly string[], more: Partial<PipelineStep> = {}): PipelineStep => ({
  id,
  driver: id,
  needs,
  timeoutMs: 60_000,
  ...more,
})
const line = [step("build", []), step("test", ["build"]), step("ship", ["test"])]
const fork = [step("left", []), step("right", []), step("join", ["left", "right"])]

const attempted = (hostId: string, attempt: number) => ({ attempt, driverHash: "d", hostId, startedAt: at })
const runs = (hostId = here, attempt = 1): StepState => ({ status: "running", ...attempted(hostId, attempt) })
const done = (status: "succeeded" | "failed" | "cancelled" = "succeeded", message = ""): StepState => ({
  status,
  ...attempted(here, 1),
  finishedAt: at,
  result: { success: status === "succeeded", message },
})
const doneOn = (hostId: string, finishedAt = at): StepState => ({
  status: "succeeded",
  ...attempted(hostId, 1),
  finishedAt,
  result: { success: true, message: "" },
})
const couldStart = (hostId: string) => hostId === "host-b"
const waitsForDriver = (driver: string): StepState => ({
  status: "waiting",
  waitingFor: { type: "driver", driver },
  since: at,
  attempt: 0,
})
const waitsUntil = (until: string, attempt = 1): StepState => ({
  status: "waiting",
  waitingFor: { type: "timer", until },
  since: at,
  attempt,
})

const onceOnly = [step("build", [], { effects: "once" })]
const probes = (hostId = here): StepState => ({
  status: "running",
  ...attempted(hostId, 2),
  probing: attempted("host-b", 1),
})
const large = {
  success: true,
  message: "",
  dataRef: { bytes: 70_000, sha256: "data", runId: "run", folder: "folder-b", hostId: "host-b" },
} as const
/** `build` gave large data; `test` comes after it. */
const afterLarge = { build: { ...done(), result: large } as StepState }
const dataHere: DataState = { type: "here", value: { image: "web" } }
const dataLost: DataState = { type: "lost", message: "host host-b does not have it any more" }
const readsNothing = { readsResults: () => false }
const thenTest = (more: Partial<PipelineStep>) => [step("build", []), step("test", ["build"], more)]
const cel = (expression: string) => `\${{ ${expression} }}`
const unresolved = (resolution?: Resolution): StepState => ({
  status: "waiting",
  waitingFor: { type: "resolution", interrupted: attempted("host-b", 1) },
  since: at,
  attempt: 1,
  ...(resolution === undefined ? {} : { resolution }),
})

/** Of a pipeline: an expression that has no value. */
const asksForNothing = { metadata: { image: `\${{ resource.spec.nope }}` } }

const currentAs = (hash: string) => ({ hash, guard: { key: "pipelines/release", modRevision: 7 } })

interface Situation {
  readonly run?: Run
  readonly steps?: readonly PipelineStep[]
  readonly states?: Record<string, StepState>
  readonly claims?: Record<string, Claim>
  readonly local?: Record<string, LocalAttempt>
  readonly left?: Record<string, number>
  readonly caughtUp?: boolean
  readonly missing?: string
  readonly host?: Partial<HostView>
  readonly pipeline?: Partial<Pipeline>
  readonly currentHash?: string
  /** Who holds and awaits the key of its pipeline. */
  readonly key?: ConcurrencyRecord
  /** Of all large data there is. Default: nobody has asked for it. */
  readonly data?: DataState
}

/** Held since `left` failed, and mended by now. */
function heldBeside(states: Record<string, StepState>): Situation {
  return {
    run: { ...running, held: { verdict: failing, since: at, known: ["d"] } } as Run,
    steps: fork,
    states: { left: done("failed"), ...states },
    pipeline: { holdMs: 60_000 },
    currentHash: "mended",
  }
}

function planOf(situation: Situation): Plan {
  const { run = running, steps = line, states = {}, claims = {}, local = {}, caughtUp = true } = situation
  const observed: Observed = {
    run,
    steps: run.steps ?? steps,
    states: new Map(Object.entries(states)),
    claims: new Map(Object.entries(claims)),
    local: new Map(Object.entries(local)),
    left: new Map(Object.entries(situation.left ?? {})),
    pipeline: {
      name: "release",
      resource: "app",
      on: ["create"],
      metadata: {},
      host: { gpu: "yes" },
      steps,
      ...situation.pipeline,
    },
    resource: shop,
    env: {},
    caughtUp,
    ...(situation.missing === undefined ? {} : { missing: situation.missing }),
    host: {
      hostId: here,
      folder: "folder-a",
      slots: 10,
      hashOf: () => "d",
      fits: true,
      othersFit: false,
      locate: () => "here",
      readsResults: () => true,
      servedAs: () => ["d"],
      elsewhere: () => false,
      couldStart: () => false,
      listening: () => [],
      ...situation.host,
    },
    concurrencyOf: () => situation.key,
    isNewer: () => false,
    dataOf: () => situation.data,
    dueMs: (since, durationMs) => now.monotonicMs + Date.parse(since) + durationMs - now.wallMs,
    ...(situation.currentHash === undefined ? {} : { current: currentAs(situation.currentHash) }),
  }
  return plan(observed, now)
}

/** A plan in one line of words, for tables. */
function said({ transitions, effects, starved, behind, lacking }: Plan): string[] {
  return [
    ...transitions.map((transition) => {
      switch (transition.type) {
        case "header": {
          const { run } = transition
          if ("finishedAt" in run) return `run ${run.status}${run.message && `: ${run.message}`}`
          return run.status === "running" && run.stopping
            ? `stopping as ${run.stopping.status}`
            : `run ${run.status}`
        }
        case "start":
          return `start ${transition.stepId}#${transition.state.attempt}${transition.state.probing ? " (probe)" : ""}`
        case "settle":
          return `${transition.stepId} ${transition.state.status}`
        case "wait":
          return `${transition.stepId} waits for ${transition.state.waitingFor.type}`
        case "skip":
          return `skip ${transition.stepId}`
        case "reset":
          return `reset ${transition.stepId}`
        case "release":
          return `release ${transition.stepId}`
        default:
          return transition satisfies never
      }
    }),
    ...effects.map((effect) => {
      switch (effect.type) {
        case "launch":
          return `launch ${effect.stepId}#${effect.attempt}`
        case "abort":
          return `abort ${effect.stepId}: ${effect.reason}`
        case "discard":
          return `discard ${effect.stepId}`
        case "replace":
          return `replace ${effect.runId}`
        case "fetch":
          return `fetch ${effect.hash}`
        case "leave":
          return `leave ${effect.stepId} until ${effect.untilMs}`
        default:
          return effect satisfies never
      }
    }),
    ...lacking.map(({ sha256 }) => `bring ${sha256}`),
    ...(starved ? ["starved"] : []),
    ...(behind ? ["behind"] : []),
  ]
}

const claim = (hostId = here, attempt = 1): Claim => ({ hostId, attempt })
const local = (more: Partial<LocalAttempt> = {}): LocalAttempt => ({
  attempt: 1,
  deadlineMs: 2_000,
  timeoutMs: 60_000,
  ...more,
})
const success = { success: true, message: "" }
const failure = { success: false, message: "no" }
const unpinned: Run = { ...pending, status: "running", startedAt: at }
const pinnedRun: Run = { ...running, drivers: { build: "old" } }
const cancelling: Run = { ...running, cancelRequestedAt: at }

const table: readonly (readonly [string, Situation, readonly string[]])[] = [
  ["a new run starts its first step", { run: pending }, ["run running", "start build#1"]],
  [
    "a new graph starts all that needs nothing",
    { run: pending, steps: fork },
    ["run running", "start left#1", "start right#1"],
  ],
  [
    "a step of ours that nobody runs yet is launched",
    { states: { build: runs() }, claims: { build: claim() } },
    ["launch build#1"],
  ],
  [
    "a step of ours that runs is left alone",
    { states: { build: runs() }, claims: { build: claim() }, local: { build: local() } },
    [],
  ],
  [
    "a step another host holds is left alone",
    { states: { build: runs("host-b") }, claims: { build: claim("host-b") } },
    [],
  ],
  [
    "a result starts the next step in the same commit",
    { states: { build: runs() }, claims: { build: claim() }, local: { build: local({ outcome: success }) } },
    ["build succeeded", "start test#1"],
  ],
  [
    "a failed result ends the run in the same commit",
    { states: { build: runs() }, claims: { build: claim() }, local: { build: local({ outcome: failure }) } },
    ["build failed", 'run failed: step "build" failed: no'],
  ],
  [
    "the last result ends the run",
    {
      states: { build: done(), test: done(), ship: runs() },
      claims: { ship: claim() },
      local: { ship: local({ outcome: success }) },
    },
    ["ship succeeded", "run succeeded"],
  ],
  [
    "a join waits for all it needs",
    { steps: fork, states: { left: done(), right: runs("host-b") }, claims: { right: claim("host-b") } },
    [],
  ],
  [
    "a join starts after all it needs",
    { steps: fork, states: { left: done(), right: done() } },
    ["start join#1"],
  ],
  [
    "a failure beside a step that runs elsewhere waits for its host to end it",
    {
      steps: fork,
      states: { left: done("failed", "no"), right: runs("host-b") },
      claims: { right: claim("host-b") },
    },
    [],
  ],
  [
    "a failure beside a step that may have started elsewhere stops the run first",
    { steps: fork, states: { left: done("failed", "no") } },
    ["stopping as failed"],
  ],
  [
    "a stopping run starts nothing and ends once all is quiet",
    { run: { ...running, stopping: failing }, steps: fork, states: { left: done("failed") } },
    ['run failed: step "build" failed'],
  ],
  [
    "a stopping run does not end on old news, and says that it waits for the watch",
    {
      run: { ...running, stopping: failing },
      steps: fork,
      states: { left: done("failed") },
      caughtUp: false,
    },
    ["behind"],
  ],
  [
    "a stopping run aborts what runs here",
    {
      run: { ...running, stopping: failing },
      steps: fork,
      states: { left: done("failed"), right: runs() },
      claims: { right: claim() },
      local: { right: local() },
    },
    ["abort right: cancelled"],
  ],
  [
    "a run whose time is over starts nothing in the commit that says so",
    {
      steps: [step("left", []), step("right", []), step("next", ["right"])],
      states: { left: runs(), right: done() },
      claims: { left: claim() },
      local: { left: local() },
      pipeline: { timeoutMs: 0 },
    },
    ["stopping as failed"],
  ],
  [
    "an aborted attempt is not aborted again",
    {
      run: { ...running, stopping: failing },
      steps: fork,
      states: { left: done("failed"), right: runs() },
      claims: { right: claim() },
      local: { right: local({ aborted: "cancelled" }) },
    },
    [],
  ],
  [
    "a cancelled run that has not started ends at once",
    { run: { ...pending, cancelRequestedAt: at } },
    ["run cancelled: cancelled on request"],
  ],
  [
    "a cancelled run aborts its attempts",
    { run: cancelling, states: { build: runs() }, claims: { build: claim() }, local: { build: local() } },
    ["abort build: cancelled"],
  ],
  [
    "a cancelled run waits for another host's attempt",
    { run: cancelling, states: { build: runs("host-b") }, claims: { build: claim("host-b") } },
    [],
  ],
  [
    "a cancelled run waits for another host's attempt of cleanup that nobody wants any more",
    {
      run: { ...cancelling, cancel: { cleanup: false } },
      steps: [step("build", []), step("report", [], { role: { type: "finally" } })],
      states: { build: done("cancelled"), report: runs("host-b") },
      claims: { report: claim("host-b") },
    },
    [],
  ],
  [
    "a run whose pipeline asks for what is not there fails at once",
    { run: pending, pipeline: asksForNothing },
    [
      'run failed: The expression "resource.spec.nope" has no value: No such key: nope, in /image of the pipeline\'s metadata',
    ],
  ],
  [
    "a mended run whose pipeline asks for what is not there cleans up before it fails",
    {
      states: { build: done() },
      pipeline: asksForNothing,
    },
    ["stopping as failed"],
  ],
  [
    "a cancelled run is cancelled, though its pipeline asks for what is not there",
    {
      run: { ...pending, cancelRequestedAt: at },
      pipeline: asksForNothing,
    },
    ["run cancelled: cancelled on request"],
  ],
  [
    "a run is not held any more when another host has started a step before it was",
    { ...heldBeside({ right: runs("host-b") }), claims: { right: claim("host-b") } },
    ["run running"],
  ],
  [
    "a held run is looked at when all is known that started before",
    { ...heldBeside({ right: done() }), caughtUp: false },
    ["behind"],
  ],
  [
    "a held run goes on when its pipeline is mended",
    heldBeside({ right: done() }),
    ["reset left", "run running"],
  ],
  [
    "a step that waits for a driver has all of its time anew when its run goes on mended",
    heldBeside({ right: waitsForDriver("right") }),
    ["reset left", "reset right", "run running"],
  ],
  [
    "a held run goes on also when the steps it does again were reset before, all but the last",
    {
      ...heldBeside({ left: { status: "pending", attempt: 1 }, right: done("failed") }),
      currentHash: "h",
      host: { hashOf: (driver) => (driver === "left" ? "mended" : "d") },
    },
    ["reset right", "run running"],
  ],
  [
    "a run that fails before anything could start is held, too",
    {
      run: pending,
      steps: [step("build", [], { if: "nope" })],
      states: { build: { ...done("failed"), attempt: 0 } },
      pipeline: { holdMs: 60_000 },
    },
    ["run running"],
  ],
  [
    "what must not be done twice and was cut off when its run was held is asked about when that goes on",
    {
      steps: onceOnly,
      states: { build: { status: "pending", attempt: 1, interrupted: attempted("host-b", 1) } },
    },
    ["build waits for resolution"],
  ],
  [
    "what may be done twice and was cut off when its run was held is done again when that goes on",
    {
      steps: [step("build", [])],
      states: { build: { status: "pending", attempt: 1, interrupted: attempted("host-b", 1) } },
    },
    ["start build#2"],
  ],
  [
    "a cancelled attempt is cancelled, and so is its run",
    {
      run: cancelling,
      states: { build: runs() },
      claims: { build: claim() },
      local: { build: local({ aborted: "cancelled", outcome: failure }) },
    },
    ["build cancelled", "run cancelled: cancelled on request"],
  ],
  [
    "an attempt that succeeded before the cancel reached it has succeeded",
    {
      run: cancelling,
      states: { build: runs() },
      claims: { build: claim() },
      local: { build: local({ aborted: "cancelled", outcome: success }) },
    },
    ["build succeeded", "run cancelled: cancelled on request"],
  ],
  [
    "a step of a cancelled run that is claimed and not launched is cancelled",
    { run: cancelling, states: { build: runs() }, claims: { build: claim() } },
    ["build cancelled", "run cancelled: cancelled on request"],
  ],
  [
    "an orphan of a cancelled run is cancelled",
    { run: cancelling, states: { build: runs("host-b") } },
    ["build cancelled", "run cancelled: cancelled on request"],
  ],
  ["an orphan is taken over as a new attempt", { states: { build: runs("host-b") } }, ["start build#2"]],
  [
    "an orphan whose driver no host has waits for it",
    { run: unpinned, states: { build: runs("host-b") }, host: { hashOf: () => undefined } },
    ["build waits for driver"],
  ],
  [
    "an orphan that must happen once is asked about, not repeated",
    { steps: onceOnly, states: { build: runs("host-b") } },
    ["start build#2 (probe)"],
  ],
  [
    "an orphan that must happen once and whose code is lost waits for somebody to say how it ended",
    { steps: onceOnly, states: { build: runs("host-b") }, host: { locate: () => "nowhere" } },
    ["build waits for resolution"],
  ],
  [
    "an orphan that must happen once waits for that also when no host with its labels is left",
    { steps: onceOnly, states: { build: runs("host-b") }, host: { fits: false } },
    ["build waits for resolution"],
  ],
  [
    "a probe that can tell gives the step its result",
    {
      steps: onceOnly,
      states: { build: probes() },
      claims: { build: claim(here, 2) },
      local: { build: local({ attempt: 2, outcome: { ...success, probed: true } }) },
    },
    ["build succeeded", "run succeeded"],
  ],
  [
    "a probe that cannot tell leaves it to somebody who can",
    {
      steps: onceOnly,
      states: { build: probes() },
      claims: { build: claim(here, 2) },
      local: { build: local({ attempt: 2, outcome: failure }) },
    },
    ["build waiting"],
  ],
  [
    "a probe that was cut off is asked again",
    { steps: onceOnly, states: { build: probes("host-b") } },
    ["start build#3 (probe)"],
  ],
  ["an unknown outcome is waited for", { steps: onceOnly, states: { build: unresolved() } }, []],
  [
    "an outcome that was found out is the step's",
    { steps: onceOnly, states: { build: unresolved({ outcome: "succeeded", result: success }) } },
    ["build succeeded"],
  ],
  [
    "an attempt that was found to have had no effect is done again",
    { steps: onceOnly, states: { build: unresolved({ outcome: "retry" }) } },
    ["start build#2"],
  ],
  [
    "an unknown outcome is cancelled with its run",
    { run: cancelling, steps: onceOnly, states: { build: unresolved() } },
    ["build cancelled", "run cancelled: cancelled on request"],
  ],
  [
    "an attempt over its deadline is aborted",
    { states: { build: runs() }, claims: { build: claim() }, local: { build: local({ deadlineMs: 1_000 }) } },
    ["abort build: timeout"],
  ],
  [
    "a timed-out attempt has failed, whatever it says",
    {
      states: { build: runs() },
      claims: { build: claim() },
      local: { build: local({ aborted: "timeout", outcome: success }) },
    },
    ["build failed", 'run failed: step "build" failed'],
  ],
  [
    "an attempt whose claim went is aborted",
    {
      states: { build: runs("host-b", 2) },
      claims: { build: claim("host-b", 2) },
      local: { build: local() },
    },
    ["abort build: fenced"],
  ],
  [
    "a step that is to be attempted again is left alone by a host that an attempt of it has not left yet",
    {
      states: { build: waitsUntil(at, 2) },
      local: { build: local({ aborted: "fenced" }) },
    },
    [],
  ],
  [
    "an attempt whose claim went is forgotten when it is over",
    {
      states: { build: runs("host-b", 2) },
      claims: { build: claim("host-b", 2) },
      local: { build: local({ outcome: success }) },
    },
    ["discard build"],
  ],
  [
    "an attempt ended by the host's stop gives its claim back",
    {
      states: { build: runs() },
      claims: { build: claim() },
      local: { build: local({ aborted: "shutdown", outcome: failure }) },
      host: { slots: 0 },
    },
    ["release build"],
  ],
  [
    "a step whose driver no host has waits for it",
    { run: pending, host: { hashOf: () => undefined } },
    ["build waits for driver"],
  ],
  [
    "a waiting step is not written again",
    { run: unpinned, states: { build: waitsForDriver("build") }, host: { hashOf: () => undefined } },
    [],
  ],
  [
    "a waiting step starts when the driver is here",
    { states: { build: waitsForDriver("build") } },
    ["start build#1"],
  ],
  [
    "a step whose driver another host has is left to it",
    { run: pending, host: { hashOf: () => undefined, elsewhere: () => true } },
    [],
  ],
  [
    "a step of a pipeline that asks for other labels is left to a host that has them",
    { run: pending, host: { fits: false, othersFit: true } },
    [],
  ],
  [
    "a step of a pipeline that asks for labels nobody has waits for such a host",
    { run: pending, host: { fits: false } },
    ["build waits for host"],
  ],
  [
    "code a run is pinned to is fetched from the store",
    { run: pinnedRun, host: { locate: () => "store" } },
    ["fetch old"],
  ],
  [
    "code a run is pinned to that another host serves is left to it",
    { run: pinnedRun, host: { locate: () => "elsewhere" } },
    [],
  ],
  [
    "code a run is pinned to that is lost is waited for",
    { run: pinnedRun, host: { locate: () => "nowhere" } },
    ["build waits for driver"],
  ],
  ["a host without a slot starts nothing and says so", { run: pending, host: { slots: 0 } }, ["starved"]],
  [
    "a host starts as many as it has slots for",
    { run: pending, steps: fork, host: { slots: 1 } },
    ["run running", "start left#1", "starved"],
  ],
  [
    "a failed attempt with tries left waits for the next",
    {
      steps: [step("build", [], { retry: { attempts: 2, backoffMs: 500 } })],
      states: { build: runs() },
      claims: { build: claim() },
      local: { build: local({ outcome: failure }) },
    },
    ["build waiting"],
  ],
  [
    "the last try's failure is the step's",
    {
      steps: [step("build", [], { retry: { attempts: 2, backoffMs: 500 } })],
      states: { build: runs(here, 2) },
      claims: { build: claim(here, 2) },
      local: { build: local({ attempt: 2, outcome: failure }) },
    },
    ["build failed", 'run failed: step "build" failed: no'],
  ],
  ["a timer that is over starts the next attempt", { states: { build: waitsUntil(at) } }, ["start build#2"]],
  [
    "a timer that is not over is waited for",
    { states: { build: waitsUntil("2026-01-01T00:00:01.000Z") } },
    [],
  ],
  [
    "a step is left for a moment to the host that did the one before it",
    { states: { build: doneOn("host-b") }, host: { couldStart } },
    ["leave test until 1300"],
  ],
  [
    "a step that is left already is left until then",
    { states: { build: doneOn("host-b") }, left: { test: 1_200 }, host: { couldStart } },
    [],
  ],
  [
    "a step that was left for long enough is started",
    { states: { build: doneOn("host-b") }, left: { test: 1_000 }, host: { couldStart } },
    ["start test#1"],
  ],
  [
    "a step is not left to a host that could not start it",
    { states: { build: doneOn("host-c") }, host: { couldStart } },
    ["start test#1"],
  ],
  [
    "a step that follows several is left to the host that did the last of them",
    {
      steps: fork,
      states: { left: doneOn("host-b", "2026-01-01T00:00:00.001Z"), right: doneOn(here) },
      host: { couldStart },
    },
    ["leave join until 1300"],
  ],
  [
    "a step is not left to a host that did an earlier one of those it follows",
    {
      steps: fork,
      states: { left: doneOn("host-b"), right: doneOn(here, "2026-01-01T00:00:00.001Z") },
      host: { couldStart },
    },
    ["start join#1"],
  ],
  [
    "the next attempt of a first step is left to the host that came to the run last",
    {
      run: { ...running, logs: [...logs, { folder: "folder-b", hostId: "host-b" }] },
      states: { build: waitsUntil(at) },
      host: { couldStart },
    },
    ["leave build until 1300"],
  ],
  [
    "an attempt that was cut off is left to nobody",
    {
      states: { build: doneOn("host-b"), test: runs("host-b") },
      host: { couldStart },
    },
    ["start test#2"],
  ],
  ["large data is brought before a step starts that may read it", { states: afterLarge }, ["bring data"]],
  [
    "a result with large data ends its step before that is asked for",
    { states: { build: runs() }, claims: { build: claim() }, local: { build: local({ outcome: large }) } },
    ["build succeeded", "bring data"],
  ],
  [
    "a step starts with the large data that was brought",
    { states: afterLarge, data: dataHere },
    ["start test#1"],
  ],
  [
    "a step waits for the host that has its large data",
    { states: afterLarge, data: { type: "away" } },
    ["test waits for data"],
  ],
  [
    "a step whose large data is lost fails",
    { steps: thenTest({}), states: afterLarge, data: dataLost },
    ["test failed"],
  ],
  [
    "a step whose driver reads its input only does without the large data of others",
    { states: afterLarge, host: readsNothing },
    ["start test#1"],
  ],
  [
    "a step whose driver reads its input only waits for the large data in that",
    {
      steps: thenTest({ with: { image: cel("results.build.data.image") } }),
      states: afterLarge,
      host: readsNothing,
      data: { type: "away" },
    },
    ["test waits for data"],
  ],
  [
    "a message beside large data can be read without it",
    {
      steps: thenTest({ with: { said: cel("steps.build.message") }, if: "results.build.message == ''" }),
      states: afterLarge,
      host: readsNothing,
    },
    ["start test#1"],
  ],
  [
    "a condition that reads large data has it brought",
    { steps: thenTest({ if: "steps.build.data.image == 'other'" }), states: afterLarge, host: readsNothing },
    ["bring data"],
  ],
  [
    "a condition is asked with the large data that was brought",
    {
      steps: thenTest({ if: "steps.build.data.image == 'other'" }),
      states: afterLarge,
      host: readsNothing,
      data: dataHere,
    },
    ["skip test"],
  ],
  [
    "a condition waits for the host that has its large data",
    {
      steps: thenTest({ if: "steps.build.data.image == 'other'" }),
      states: afterLarge,
      host: readsNothing,
      data: { type: "away" },
    },
    ["test waits for data"],
  ],
  [
    "a step that cleans up is not held up for data that nothing says it reads",
    {
      run: { ...running, stopping: { status: "succeeded", message: "" } },
      steps: thenTest({ role: { type: "finally" } }),
      states: afterLarge,
      data: { type: "away" },
    },
    ["start test#1"],
  ],
  [
    "a claimed step is launched with the large data that was brought",
    { states: { ...afterLarge, test: runs() }, claims: { test: claim() }, data: dataHere },
    ["launch test#1"],
  ],
  [
    "a claimed step has its large data brought first",
    { states: { ...afterLarge, test: runs() }, claims: { test: claim() } },
    ["bring data"],
  ],
  [
    "a claimed step is let go of when its large data cannot be brought",
    { states: { ...afterLarge, test: runs() }, claims: { test: claim() }, data: { type: "away" } },
    ["release test"],
  ],
  [
    "a cut-off attempt is not made again without its large data",
    { states: { ...afterLarge, test: runs("host-b") }, data: { type: "away" } },
    ["test waits for data"],
  ],
  [
    "a once-only step whose probe cannot have its large data asks a person",
    {
      steps: thenTest({ effects: "once" }),
      states: { ...afterLarge, test: runs("host-b") },
      data: { type: "away" },
    },
    ["test waits for resolution"],
  ],
  ["a run that lacks its pipeline fails", { missing: "it is gone" }, ["run failed: it is gone"]],
  [
    "a run without a pipeline gets a step for each driver that listens",
    { run: withoutPipeline(), host: { listening: () => ["audit", "deploy"] } },
    ["run running", "start audit#1", "start deploy#1"],
  ],
  [
    "a run without a pipeline that nobody listens to is done",
    { run: withoutPipeline() },
    ['run succeeded: no driver listens for "app"'],
  ],
  [
    "a failure among listeners waits for the others",
    {
      run: { ...withoutPipeline(), steps: [step("audit", []), step("deploy", [])] },
      states: { audit: done("failed"), deploy: runs() },
      claims: { deploy: claim() },
      local: { deploy: local() },
    },
    [],
  ],
  [
    "a run that has ended is left alone",
    { run: { ...pending, status: "succeeded", message: "", finishedAt: at } },
    [],
  ],
  [
    "what still runs of a run that has ended is aborted",
    {
      run: { ...pending, status: "failed", message: "", finishedAt: at },
      states: { build: done("cancelled") },
      local: { build: local() },
    },
    ["abort build: fenced"],
  ],
]

function withoutPipeline(): Run {
  const { pipeline: _, ...run } = pending
  return run
}

describe("plan", () => {
  for (const [sentence, situation, expected] of table) {
    test(sentence, () => {
      expect(said(planOf(situation))).toEqual([...expected])
    })
  }

  test("pins a run at its start to the drivers this host has, and to no others", () => {
    const { transitions } = planOf({
      run: pending,
      host: { hashOf: (driver) => (driver === "ship" ? undefined : `${driver}-1`) },
    })
    expect(transitions[0]).toMatchObject({
      type: "header",
      run: { drivers: { build: "build-1", test: "test-1" } },
    })
    expect(transitions[1]).toMatchObject({ type: "start", state: { driverHash: "build-1" } })
  })

  test("starts a step on the code the run is pinned to, whatever serves now", () => {
    const { transitions } = planOf({ run: pinnedRun, host: { hashOf: () => "new" } })
    expect(transitions).toMatchObject([{ type: "start", stepId: "build", state: { driverHash: "old" } }])
  })

  test("pins a driver that came later at its first attempt", () => {
    const { transitions } = planOf({
      run: pinnedRun,
      states: { build: done() },
      host: { hashOf: () => "new" },
    })
    expect(transitions).toMatchObject([
      { type: "header", run: { drivers: { build: "old", test: "new" } } },
      { type: "start", stepId: "test", state: { driverHash: "new" } },
    ])
  })

  test("asks to be woken when a step has been left for long enough", () => {
    const states = { build: doneOn("host-b") }
    expect(planOf({ states, host: { couldStart } }).wakeAtMs).toBe(1_300)
    expect(planOf({ states, host: { couldStart }, left: { test: 1_200 } }).wakeAtMs).toBe(1_200)
  })

  test("writes down that a run's log lies on this host too, with its first start there and never again", () => {
    const elsewhere = [{ folder: "folder-b", hostId: "host-b" }]
    const moved = planOf({ run: { ...running, logs: elsewhere }, states: { build: doneOn("host-b") } })
    expect(moved.transitions).toMatchObject([
      { type: "header", run: { logs: [...elsewhere, ...logs] } },
      { type: "start", stepId: "test", state: { logs: [1] } },
    ])
    const here = planOf({ states: { build: done() } }).transitions
    expect(here).toMatchObject([{ type: "start", stepId: "test" }])
    expect(here[0]).not.toHaveProperty("state.logs")
  })

  test("knows of each attempt where it logged, through failures and waits", () => {
    const steps = [step("build", [], { retry: { attempts: 9, backoffMs: 500 } })]
    const run = { ...running, logs: [{ folder: "folder-b", hostId: "host-b" }, ...logs] }
    const second: StepState = { ...runs(here, 2), logs: [0, 1] }
    const failed = planOf({
      run,
      steps,
      states: { build: second },
      claims: { build: claim(here, 2) },
      local: { build: local({ attempt: 2, outcome: failure }) },
    })
    expect(failed.transitions).toMatchObject([{ type: "settle", state: { status: "waiting", logs: [0, 1] } }])
    const third = planOf({ run, steps, states: { build: { ...waitsUntil(at, 2), logs: [0, 1] } } })
    expect(third.transitions).toMatchObject([{ type: "start", state: { attempt: 3, logs: [0, 1, 1] } }])
  })

  test("says which data is lost, how large it was, and why", () => {
    const { transitions } = planOf({ states: afterLarge, data: dataLost })
    const message = 'The data of step "build" (70000 bytes) is lost: host host-b does not have it any more'
    expect(transitions).toMatchObject([{ stepId: "test", state: { result: { success: false, message } } }])
  })

  test("looks again soon whether a host that has large data answers", () => {
    expect(planOf({ states: afterLarge, data: { type: "away" } }).wakeAtMs).toBe(3_000)
  })

  test("asks to be woken at the earliest deadline", () => {
    const { wakeAtMs } = planOf({
      steps: fork,
      states: { left: runs(), right: runs() },
      claims: { left: claim(), right: claim() },
      local: { left: local({ deadlineMs: 7_000 }), right: local({ deadlineMs: 5_000 }) },
    })
    expect(wakeAtMs).toBe(5_000)
  })

  test("asks to be woken when a timer is over, on the monotonic clock", () => {
    expect(planOf({ states: { build: waitsUntil("2026-01-01T00:00:01.500Z") } }).wakeAtMs).toBe(2_500)
  })

  test("backs off twice as long for each further attempt", () => {
    const steps = [step("build", [], { retry: { attempts: 9, backoffMs: 500 } })]
    const states = { build: runs(here, 3) }
    const claims = { build: claim(here, 3) }
    const { transitions } = planOf({
      steps,
      states,
      claims,
      local: { build: local({ attempt: 3, outcome: failure }) },
    })
    expect(transitions).toMatchObject([
      {
        type: "settle",
        state: { waitingFor: { type: "timer", until: "2026-01-01T00:00:02.000Z" }, attempt: 3 },
      },
    ])
  })

  test("numbers the attempt after a probe on from the probe, though it was an earlier one that failed", () => {
    const { transitions } = planOf({
      steps: [step("build", [], { effects: "once", retry: { attempts: 2, backoffMs: 500 } })],
      states: { build: probes() },
      claims: { build: claim(here, 2) },
      local: { build: local({ attempt: 2, outcome: { ...failure, probed: true } }) },
    })
    expect(transitions).toMatchObject([
      {
        type: "settle",
        state: { waitingFor: { type: "timer", until: "2026-01-01T00:00:00.500Z" }, attempt: 2 },
      },
    ])
  })

  test("counts the attempts of a mended step on from its last probe, so that no number comes twice", () => {
    const once = [step("build", [], { effects: "once" })]
    const [settle] = planOf({
      steps: once,
      states: { build: { ...unresolved({ outcome: "failed", result: failure }), attempt: 2 } },
    }).transitions
    expect(settle).toMatchObject({ type: "settle", state: { attempt: 1, lastAttempt: 2 } })
    const held = { verdict: failing, since: at, known: ["d"] }
    const { transitions } = planOf({
      run: { ...running, held } as Run,
      steps: once,
      states: { build: { ...done("failed"), lastAttempt: 2 } as StepState },
      pipeline: { holdMs: 60_000 },
      currentHash: "mended",
    })
    expect(transitions[0]).toMatchObject({ type: "reset", state: { status: "pending", attempt: 2 } })
  })

  test("pins a run that goes on mended to the drivers of the host that has what was mended", () => {
    const { transitions } = planOf({
      ...heldBeside({ right: done() }),
      host: { hashOf: (of) => `new ${of}` },
    })
    const drivers = { left: "new left", right: "new right", join: "new join" }
    expect(transitions.at(-1)).toMatchObject({ type: "header", run: { drivers } })
  })

  test("a driver may have any name that is one", () => {
    const { transitions, effects } = planOf({
      run: { ...running, drivers: {} },
      steps: [step("constructor", [])],
    })
    expect(transitions).toMatchObject([
      { type: "header", run: { drivers: { constructor: "d" } } },
      { type: "start", stepId: "constructor", state: { driverHash: "d" } },
    ])
    expect(effects).toEqual([])
  })

  test("forgets of a mended step all but its number, and an attempt that was cut off", () => {
    const reset = (left: StepState) => planOf(heldBeside({ left, right: done() })).transitions[0]
    expect(reset(done("failed"))).toMatchObject({ state: { status: "pending", attempt: 1 } })
    expect(reset(done("failed"))).not.toHaveProperty("state.interrupted")
    const cutOff = { ...done("cancelled"), lastAttempt: 2 } as StepState
    expect(reset(cutOff)).toMatchObject({
      state: { status: "pending", attempt: 2, interrupted: { ...attempted(here, 1), origin: 1 } },
    })
  })

  test("gives a key back by the commit that ends the run, also where nothing is known of who holds it", () => {
    const concurrency = { key: "production", limit: 1, policy: "queue" } as const
    const { transitions } = planOf({
      run: { ...cancelling, concurrency } as Run,
      states: { build: done("cancelled") },
    })
    expect(transitions).toMatchObject([
      { type: "header", run: { status: "cancelled" }, key: { name: "production" } },
    ])
  })

  test("rejects a run only as long as who holds its key is what it was decided on", () => {
    const key = { key: "k", holders: [{ runId: "other", since: at }], queue: [] }
    const { transitions } = planOf({
      run: pending,
      pipeline: { concurrency: { key: "k", limit: 1, policy: "reject" } },
      key,
    })
    expect(transitions).toMatchObject([
      { type: "header", run: { status: "cancelled" }, key: { name: "k", record: key } },
    ])
  })

  test("settles a step and starts its next attempt in two commits", () => {
    const steps = [step("build", [], { retry: { attempts: 2, backoffMs: 0 } })]
    const situation = {
      steps,
      states: { build: runs() },
      claims: { build: claim() },
      local: { build: local({ outcome: failure }) },
    }
    expect(said(planOf(situation))).toEqual(["build waiting"])
    expect(planOf(situation).wakeAtMs).toBe(now.monotonicMs)
  })
})
