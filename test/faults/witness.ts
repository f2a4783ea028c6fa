import type { Pipeline, PipelineStep } from "../../src/model/pipeline.ts"
import { type Claim, isEnded, type Run, type StepState } from "../../src/model/run.ts"
import { stepsOfRun } from "../../src/model/run-steps.ts"
import { keyOf, revisionOf } from "../../src/store/change.ts"
import { parseRunKey, pipelineRevisionKey, prefixes } from "../../src/store/keys.ts"
import type { Change, Revision, Store } from "../../src/store/store.ts"
import { faultOfCleanup, hasFailed, type Scene } from "./order-rules.ts"
import { faultOfAdmission, faultOfHeader, isHeld } from "./run-rules.ts"
import { faultOfStep } from "./step-rules.ts"

/*
 * What must be so at each change of a run, whoever made it. The rules for headers are in run-rules.ts, those for steps in
 * step-rules.ts and order-rules.ts; beside these:
 *
 *   - neither a header nor a step is ever deleted, and the pipeline that a header names is in the store
 *   - a run does not end while a step of it runs or is claimed
 *   - it is marked as active exactly as long as it has not ended
 *   - a claim is made for a running attempt of its own, by its own host, where there is none
 */

/** What has been seen of one run. */
interface Account {
  header: Run | undefined
  /** The revision that was seen last, and whether the run was held before it. */
  revision: Revision
  wasHeld: boolean
  pipeline: Pipeline | undefined
  active: boolean
  readonly states: Map<string, StepState>
  readonly claims: Map<string, Claim>
}

export interface WitnessOptions {
  /** An attempt has started, in the place of the state before it. */
  readonly onStart?: (before: StepState | undefined, after: StepState) => void
  /** Did the driver of this attempt, named as below, say that its failure is not worth another one? */
  readonly givesUp?: (named: string) => boolean
  /** An attempt has its result. `named` is `<run>/<step>#<attempt>`. */
  readonly onResult?: (named: string, state: StepState) => void
  /** An attempt was ended at this revision, while this host held it. */
  readonly onHeldEnd?: (revision: Revision, hostId: string) => void
}

/** How often each kind of thing was seen. */
export interface WitnessCounts {
  changes: number
  /** Attempts that started. */
  starts: number
  /** Runs that ended. */
  ends: number
}

/**
 * Sees every change of every run, in order and from outside, and says when one breaks a promise. Whoever runs a
 * scenario races it against {@link broken}.
 */
export class Witness {
  readonly #store: Pick<Store, "get" | "watch">
  readonly #options: WitnessOptions
  readonly #runs = new Map<string, Account>()
  readonly #broken = Promise.withResolvers<never>()
  readonly #trace = new Bun.CryptoHasher("sha256")
  readonly counts: WitnessCounts = { changes: 0, starts: 0, ends: 0 }
  /** Every promise that was broken, in words. */
  readonly breaches: string[] = []

  constructor(store: Pick<Store, "get" | "watch">, options: WitnessOptions = {}) {
    this.#store = store
    this.#options = options
    this.#broken.promise.catch(() => {})
  }

  /** Rejects with the first promise that was broken. */
  get broken(): Promise<never> {
    return this.#broken.promise
  }

  /** Identity of all that happened to runs until now. */
  get traceHash(): string {
    return this.#trace.copy().digest("hex")
  }

  /** Sees what happens after `since`, until the signal aborts. */
  async follow(signal: AbortSignal, since: Revision = 0): Promise<void> {
    for await (const changes of this.#store.watch(prefixes.runs, since, signal)) await this.observe(changes)
  }

  /** Takes in changes in their order; those of one revision together. */
  async observe(changes: readonly Change[]): Promise<void> {
    const touched = new Set<string>()
    for (const change of changes) {
      const key = parseRunKey(keyOf(change))
      if (key === undefined) continue
      await this.#observe(change)
      touched.add(key.runId)
    }
    for (const runId of touched) this.#expectWhole(runId)
  }

  /** The state of a step as last seen. */
  stateOf(runId: string, stepId: string): StepState | undefined {
    return this.#runs.get(runId)?.states.get(stepId)
  }

  headerOf(runId: string): Run | undefined {
    return this.#runs.get(runId)?.header
  }

  pipelineOf(runId: string): Pipeline | undefined {
    return this.#runs.get(runId)?.pipeline
  }

  /** A step of a run, as the pipeline that the run is pinned to has it. */
  stepIn(runId: string, stepId: string): PipelineStep | undefined {
    return this.#stepOf(this.#accountOf(runId), stepId)
  }

  /** The ids of the runs that have ended, or that have not. */
  runsThat(ended: "have ended" | "have not ended"): readonly string[] {
    return [...this.#runs]
      .filter(([, { header }]) => header !== undefined && isEnded(header.status) === (ended === "have ended"))
      .map(([runId]) => runId)
  }

  /** Steps that wait for somebody to say how an attempt ended. */
  get asking(): readonly { readonly runId: string; readonly stepId: string }[] {
    return this.runsThat("have not ended").flatMap((runId) =>
      [...this.#accountOf(runId).states]
        .filter(([, state]) => state.status === "waiting" && state.waitingFor.type === "resolution")
        .filter(([, state]) => !("resolution" in state) || state.resolution === undefined)
        .map(([stepId]) => ({ runId, stepId })),
    )
  }

  /** Says so when anything is left that a finished run leaves behind, or when one of these runs is not there. */
  expectAllEnded(runIds: Iterable<string>): void {
    for (const runId of runIds) {
      this.#expect(this.headerOf(runId) !== undefined, `run ${runId} was acknowledged and is lost`)
    }
    for (const [runId, { header, active, claims, states }] of this.#runs) {
      if (header === undefined) continue
      this.#expect(isEnded(header.status), `run ${runId} is still ${header.status}`)
      this.#expect(!active, `run ${runId} has ended and is marked as active`)
      this.#expect(claims.size === 0, `run ${runId} has ended and ${[...claims.keys()]} is claimed`)
      this.#expectJust(header, states)
      const untidy = faultOfCleanup({ ...this.#sceneOf(this.#accountOf(runId)), header })
      this.#expect(untidy === undefined, `run ${runId} ${untidy}`)
    }
  }

  /**
   * A run has succeeded when no step of it has failed or was cut short, unless somebody cut its cleanup short. It has failed with a failure to show, or because
   * its time was over, its pipeline asks for what is not there, or it could not begin.
   */
  #expectJust(run: Run, states: ReadonlyMap<string, StepState>): void {
    const steps = this.#stepsOf(this.#accountOf(run.runId))
    const failed = steps.some((step) => hasFailed(step, states.get(step.id)))
    const mayBeCutShort = run.cancel?.cleanup === false
    const cancelled = steps.some(
      ({ id, role }) => states.get(id)?.status === "cancelled" && (role === undefined || !mayBeCutShort),
    )
    const why =
      failed ||
      cancelled ||
      (run.status === "failed" && /timed out|has no value/.test(run.message)) ||
      !("startedAt" in run)
    const isJust = run.status === "cancelled" || (run.status === "succeeded" ? !failed && !cancelled : why)
    const statuses = [...states].map(([stepId, { status }]) => `${stepId} ${status}`)
    this.#expect(isJust, `run ${run.runId} is ${run.status} with ${statuses}`)
  }

  /** These runs, and where they stand. */
  describe(runIds: readonly string[]): string {
    return runIds
      .map((runId) => {
        const { header, states, claims } = this.#accountOf(runId)
        return JSON.stringify({ header, states: [...states], claims: [...claims] })
      })
      .join("\n")
  }

  /** A promise was broken. */
  fail(sentence: string): void {
    this.breaches.push(sentence)
    this.#broken.reject(new Error(sentence))
  }

  #expect(holds: boolean, sentence: string): void {
    if (!holds) this.fail(sentence)
  }

  #accountOf(runId: string): Account {
    const known = this.#runs.get(runId)
    if (known !== undefined) return known
    const account: Account = {
      header: undefined,
      revision: 0,
      wasHeld: false,
      pipeline: undefined,
      active: false,
      states: new Map(),
      claims: new Map(),
    }
    this.#runs.set(runId, account)
    return account
  }

  async #observe(change: Change): Promise<void> {
    const key = parseRunKey(keyOf(change))
    if (key === undefined) return
    this.counts.changes++
    const value = change.type === "put" ? change.entry.value : undefined
    this.#trace.update(`${revisionOf(change)} ${keyOf(change)} ${value ?? "-"}\n`)
    const account = this.#accountOf(key.runId)
    if (account.revision !== revisionOf(change)) {
      account.revision = revisionOf(change)
      account.wasHeld = account.header !== undefined && isHeld(account.header)
    }
    switch (key.type) {
      case "active":
        account.active = value !== undefined
        break
      case "header":
        this.#expect(value !== undefined, `the header of run ${key.runId} was deleted`)
        if (value !== undefined) await this.#observeHeader(account, JSON.parse(value) as Run)
        break
      case "step":
        this.#expect(value !== undefined, `the step ${key.runId}/${key.stepId} was deleted`)
        if (value !== undefined) {
          this.#observeState(account, key, { after: JSON.parse(value), revision: revisionOf(change) })
        }
        break
      case "claim":
        if (value === undefined) account.claims.delete(key.stepId)
        else this.#observeClaim(account, key, JSON.parse(value) as Claim)
        break
      default:
        key satisfies never
    }
  }

  async #observeHeader(account: Account, run: Run): Promise<void> {
    const before = account.header
    const cleanupFailed = this.#stepsOf(account).some(
      (step) => step.role !== undefined && hasFailed(step, account.states.get(step.id)),
    )
    const fault = before === undefined ? undefined : faultOfHeader(before, run, { cleanupFailed })
    this.#expect(fault === undefined, `run ${run.runId} ${fault}`)
    account.header = run
    const others = [...this.#runs.values()].map(({ header }) => header)
    const intrusion = faultOfAdmission(before, run, others)
    this.#expect(intrusion === undefined, `run ${run.runId} ${intrusion}`)
    if (run.pipeline !== undefined && before?.pipeline?.hash !== run.pipeline.hash) {
      const entry = await this.#store.get(pipelineRevisionKey(run.pipeline.hash))
      this.#expect(entry !== undefined, `run ${run.runId} is pinned to a pipeline that is not there`)
      if (entry !== undefined) account.pipeline = JSON.parse(entry.value) as Pipeline
    }
    if (isEnded(run.status) && !(before !== undefined && isEnded(before.status))) this.counts.ends++
  }

  #observeState(
    account: Account,
    { runId, stepId }: { readonly runId: string; readonly stepId: string },
    { after, revision }: { readonly after: StepState; readonly revision: Revision },
  ): void {
    const { states, claims, header } = account
    const before = states.get(stepId)
    const named = `${runId}/${stepId}#${after.attempt}`
    const step = this.#stepOf(account, stepId)
    const claim = claims.get(stepId)
    const held = account.wasHeld || (header !== undefined && isHeld(header))
    const givesUp = this.#options.givesUp?.(`${runId}/${stepId}#${before?.attempt}`) === true
    const scene = this.#sceneOf(account)
    const fault = faultOfStep({ header, step, before, after, claim, scene, held, givesUp })
    this.#expect(fault === undefined, `${named} ${fault}`)
    if (after.status === "running") {
      this.counts.starts++
      this.#options.onStart?.(before, after)
    } else if (before?.status === "running") {
      if (claim !== undefined) this.#options.onHeldEnd?.(revision, claim.hostId)
      if (after.status !== "waiting") {
        this.#options.onResult?.(`${runId}/${stepId}#${before.attempt}`, after)
      }
    }
    states.set(stepId, after)
  }

  #observeClaim(
    { claims, states }: Account,
    { runId, stepId }: { readonly runId: string; readonly stepId: string },
    claim: Claim,
  ): void {
    const state = states.get(stepId)
    this.#expect(!claims.has(stepId), `${runId}/${stepId} was claimed while it was claimed`)
    const isItsOwn =
      state?.status === "running" && state.attempt === claim.attempt && state.hostId === claim.hostId
    this.#expect(isItsOwn, `${runId}/${stepId} was claimed for #${claim.attempt}, which does not run there`)
    claims.set(stepId, claim)
  }

  /** What must be so between two revisions. */
  #expectWhole(runId: string): void {
    const { header, active, states, claims } = this.#accountOf(runId)
    if (header === undefined) return
    const ended = isEnded(header.status)
    this.#expect(active !== ended, `run ${runId} is ${header.status} and its mark says something else`)
    for (const [stepId, state] of states) {
      if (state.status === "running") this.#expect(!ended, `run ${runId} ended while ${stepId} was running`)
      else this.#expect(!claims.has(stepId), `${runId}/${stepId} is ${state.status} and claimed`)
      if (state.status === "running" && claims.has(stepId)) {
        const step = this.#stepOf(this.#accountOf(runId), stepId)
        const own = step?.role?.type === "deferred" ? step.role.driverHash : undefined
        const pinned = own ?? header.drivers?.[step?.driver ?? ""]
        this.#expect(
          pinned === state.driverHash,
          `${runId}/${stepId} runs code that the run is not pinned to`,
        )
      }
    }
  }

  #sceneOf(account: Account): Omit<Scene, "header"> {
    const { header, pipeline, states } = account
    return {
      steps: this.#stepsOf(account),
      states,
      failFast: header?.pipeline !== undefined && pipeline?.failFast !== false,
      maxParallel: pipeline?.maxParallel ?? Number.POSITIVE_INFINITY,
    }
  }

  #stepsOf({ header, pipeline }: Account): readonly PipelineStep[] {
    return header === undefined ? [] : stepsOfRun(header, pipeline)
  }

  #stepOf(account: Account, stepId: string): PipelineStep | undefined {
    return this.#stepsOf(account).find(({ id }) => id === stepId)
  }
}
