/** One way in which the engine could be wrong: this text of this file, which stands there once, is another. */
export interface Mutation {
  readonly name: string
  readonly file: string
  readonly text: string
  readonly becomes: string
}

/** What the simulation must notice. */
export const mutations: readonly Mutation[] = [
  {
    name: "an attempt's end is not fenced by its claim",
    file: "src/engine/apply.ts",
    text: "run.stateGuard(stepId),\n          run.claimGuard(stepId),\n        ],",
    becomes: "],",
  },
  {
    name: "a step that nobody holds may be settled when its run has ended",
    file: "src/engine/apply.ts",
    text: "...(run.claims.has(stepId) ? [] : [run.headerGuard()]),",
    becomes: "",
  },
  {
    name: "a start is not guarded by the header",
    file: "src/engine/apply.ts",
    text: 'guards: [run.headerGuard(), run.stateGuard(stepId), run.claimGuard(stepId)],\n        writes: [\n          { type: "put", key: stepKey(runId, stepId), value: JSON.stringify(state) },\n          { type: "put"',
    becomes:
      'guards: [run.stateGuard(stepId), run.claimGuard(stepId)],\n        writes: [\n          { type: "put", key: stepKey(runId, stepId), value: JSON.stringify(state) },\n          { type: "put"',
  },
  {
    name: "a header is written without a guard",
    file: "src/engine/apply.ts",
    text: "const guards = [run.headerGuard(), key?.guard,",
    becomes: "const guards = [key?.guard,",
  },
  {
    name: "a step is taken over while its claim lives",
    file: "src/engine/plan.ts",
    text: "return !this.#observed.claims.has(stepId) && !this.#observed.local.has(stepId)",
    becomes: "return !this.#observed.local.has(stepId)",
  },
  {
    name: "an attempt is launched again while it runs here",
    file: "src/engine/plan.ts",
    text: 'if (state?.status !== "running" || this.#observed.local.has(stepId)) return',
    becomes: 'if (state?.status !== "running") return',
  },
  {
    name: "a host that lost its lease lets its attempts run",
    file: "src/engine/engine.ts",
    text: 'this.#attempts.abortAll("fenced", "ended: this host lost its lease")',
    becomes: "",
  },
  {
    name: "a host does not fence itself before its lease ends",
    file: "src/hosts/host-lease.ts",
    text: "(this.#options.ttlMs * 2) / 3",
    becomes: "this.#options.ttlMs * 2",
  },
  {
    name: "a cut-off attempt has failed",
    file: "src/engine/plan.ts",
    text: "if (this.#isOrphan(step.id)) takeUp(draft, step)",
    becomes:
      'const state = draft.states.get(step.id)\n      if (this.#isOrphan(step.id) && state?.status === "running")\n        draft.settle(step.id, { ...state, status: "failed", finishedAt: stamp(draft.now), result: { success: false, message: "cut off" } })',
  },
  {
    name: "a step is tried once more than its retry says",
    file: "src/engine/step-states.ts",
    text: "attempt < retry.attempts",
    becomes: "attempt <= retry.attempts",
  },
  {
    name: "a run ends while a step runs",
    file: "src/model/standing.ts",
    text: 'if (step.role === undefined || step.role.type === "ensure") wayEnded = false',
    becomes:
      'if (standing.type !== "running" && (step.role === undefined || step.role.type === "ensure")) wayEnded = false',
  },
  {
    name: "a run ends on news that may be old",
    file: "src/engine/plan.ts",
    text: "if (!this.#observed.caughtUp) {",
    becomes: "if (this.#observed.caughtUp === undefined) {",
  },
  {
    name: "a step starts before what it needs",
    file: "src/model/standing.ts",
    text: "if (!flow.ended) by.push(need)",
    becomes: "if (!flow.ended && step.needs.length < 2) by.push(need)",
  },
  {
    name: "a run forgets the code it started with",
    file: "src/engine/starting.ts",
    text: "const pinned = pinnedCode(draft.run, step)\n  if",
    becomes: "const pinned = host.hashOf(driver)\n  if",
  },
  {
    name: "what must happen once is simply done again",
    file: "src/engine/step-states.ts",
    text: 'once && before?.status === "running"',
    becomes: "false",
  },
  {
    name: "an attempt is resolved twice",
    file: "src/api/resolve.ts",
    text: "!isAsked || state.resolution !== undefined",
    becomes: "!isAsked",
  },
  {
    name: "who takes an attempt over shows another token",
    file: "src/engine/step-states.ts",
    text: 'if (before?.status === "running") return { origin: before.origin ?? before.attempt }',
    becomes: "",
  },
  {
    name: "a host without the labels takes the step",
    file: "src/engine/starting.ts",
    text: "if (!host.fits) {",
    becomes: "if (host.fits === undefined) {",
  },
  {
    name: "a claim outlives its host",
    file: "src/engine/apply.ts",
    text: "value: JSON.stringify(claim), lease }",
    becomes: "value: JSON.stringify(claim) }",
  },
  {
    name: "a rerun of the original takes what is there now",
    file: "src/api/rerun.ts",
    text: "original ? await originalCourse(store, run)",
    becomes: "original ? await currentCourse(store, run)",
  },
  {
    name: "older news overwrite newer",
    file: "src/engine/observe.ts",
    text: "if (at <= (this.#seenAt.get(name) ?? 0)) return false",
    becomes: "",
  },
  {
    name: "a cancel is not heeded",
    file: "src/engine/plan.ts",
    text: "if (run.cancelRequestedAt === undefined) return undefined\n",
    becomes: "if (run.cancelRequestedAt !== undefined) return undefined\n  return undefined\n",
  },
  {
    name: "a failure keeps nothing after it from starting",
    file: "src/model/standing.ts",
    text: "if (!handlesEnds(step) && brokenBy !== undefined) return",
    becomes: "if (!handlesEnds(step) && brokenBy === step.id) return",
  },
  {
    name: "what needs a step does not wait for what that ensures",
    file: "src/model/standing.ts",
    text: "if (flows.get(id)?.ended === false) by.push(id)",
    becomes: "if (flows.get(id)?.ended === undefined) by.push(id)",
  },
  {
    name: "a step of a run that ends is not cleaned up after",
    file: "src/model/standing.ts",
    text: 'if (unattempted !== undefined) return { type: "skipped", because: unattempted',
    becomes: 'if (step.role.type === "ensure") return { type: "skipped", because: { type: "over" }',
  },
  {
    name: "a run has no room for what it may run at a time",
    file: "src/engine/plan.ts",
    text: "const hasRoom = running + draft.startCount - taken < maxParallel",
    becomes: "const hasRoom = running + draft.startCount - taken <= maxParallel",
  },
  {
    name: "one run more than the limit holds a key",
    file: "src/model/concurrency.ts",
    text: "const free = concurrency.limit - known.holders.length",
    becomes: "const free = concurrency.limit - known.holders.length + 1",
  },
  {
    name: "a run that ends keeps its key",
    file: "src/engine/admission.ts",
    text: "draft.keep(key, known && released(known, run.runId))",
    becomes: "",
  },
  {
    name: "a mended run counts from the start again",
    file: "src/engine/step-states.ts",
    text: 'status: "pending", attempt: last ?? before.attempt',
    becomes: 'status: "pending", attempt: 0',
  },
  {
    name: "a held run goes on with its old steps",
    file: "src/engine/engine.ts",
    text: "if (missing === undefined && !run.hasItsPipeline) continue",
    becomes: "",
  },
  {
    name: "a failure that is not worth it is repeated",
    file: "src/engine/step-states.ts",
    text: "retryable !== false && ",
    becomes: "",
  },
  {
    name: "a run that is over before its time goes on",
    file: "src/engine/plan.ts",
    text: "} else if (decided(this.#observed.run) === undefined) {",
    becomes: "} else if (verdict === undefined) {",
  },
  {
    name: "a driver is not given the large data of earlier steps",
    file: "src/engine/step-data.ts",
    text: "if (!draft.observed.host.readsResults(driverHash)) return",
    becomes: "if (driverHash !== undefined) return",
  },
  {
    name: "an attempt's end is told before its large data is written",
    file: "src/engine/attempts.ts",
    text: "runId: order.content.run.runId,\n        results: this.#options.results,",
    becomes:
      "runId: order.content.run.runId,\n        results: { write: async (runId, json) => { void this.#options.results.write(runId, json); return { bytes: Buffer.byteLength(json), sha256: new Bun.CryptoHasher('sha256').update(json).digest('hex'), runId, folder: 'disk-0', hostId: 'disk-0' } } },",
  },
]
