import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { DriverResult } from "../../src/model/driver.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import { type Claim, isEnded, type Run, type StepState } from "../../src/model/run.ts"
import { keyOf, revisionOf } from "../../src/store/change.ts"
import { parseRunKey, pipelineRevisionKey, prefixes } from "../../src/store/keys.ts"
import type { Change, Revision, Store } from "../../src/store/store.ts"

interface LiveAttempt {
  readonly attempt: number
  readonly hostId: string
  /** Its host was stopped in its tracks, so it could not end it in time. */
  excused: boolean
}

/** What has been seen of one run. */
interface Account {
  header: Run | undefined
  active: boolean
  readonly states: Map<string, StepState>
  readonly claims: Map<string, Claim>
}

/**
 * Sees every change of every run, in order, and every attempt that starts and ends; and says when a promise is
 * broken. Whoever runs a scenario races it against {@link broken}.
 */
export class Ledger {
  readonly #store: Store
  readonly #runs = new Map<string, Account>()
  readonly #pipelines = new Map<string, Pipeline>()
  readonly #launched = new Set<string>()
  readonly #live = new Map<string, LiveAttempt[]>()
  readonly #outcomes = new Map<string, DriverResult>()
  readonly #authors = new Map<Revision, string>()
  readonly #holders = new Map<Revision, string>()
  readonly #acknowledged = new Set<string>()
  readonly #broken = Promise.withResolvers<never>()
  readonly #trace = new Bun.CryptoHasher("sha256")
  /** Changes seen so far. */
  changes = 0
  attempts = 0

  readonly #seesAttempts: boolean

  /** With `seesAttempts` false nobody tells it of attempts, and results are not compared with what drivers gave. */
  constructor(store: Store, { seesAttempts = true }: { readonly seesAttempts?: boolean } = {}) {
    this.#store = store
    this.#seesAttempts = seesAttempts
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

  /** Runs that were submitted and acknowledged. */
  get acknowledged(): ReadonlySet<string> {
    return this.#acknowledged
  }

  async follow(signal: AbortSignal): Promise<void> {
    for await (const changes of this.#store.watch(prefixes.runs, 0, signal)) {
      for (const change of changes) await this.#observe(change)
    }
  }

  acknowledge(runId: string): void {
    this.#acknowledged.add(runId)
  }

  /** This host's commit was applied at this revision. */
  applied(hostId: string, revision: Revision): void {
    this.#authors.set(revision, hostId)
    this.#checkAuthor(revision)
  }

  /** `excused` as by {@link excuse}. */
  started(hostId: string, attempt: Attempt, { excused = false }: { readonly excused?: boolean } = {}): void {
    const name = nameOf(attempt)
    this.attempts++
    this.#expect(!this.#launched.has(name), `${name} was started twice`)
    this.#launched.add(name)
    const step = `${attempt.runId}/${attempt.stepId}`
    const live = this.#live.get(step) ?? []
    const other = excused ? undefined : live.find((one) => !one.excused)
    this.#expect(
      other === undefined,
      `${name} started on ${hostId} beside #${other?.attempt} on ${other?.hostId}`,
    )
    this.#live.set(step, [...live, { attempt: attempt.attempt, hostId, excused }])
    const state = this.#runs.get(attempt.runId)?.states.get(attempt.stepId)
    this.#expect(
      state?.status !== "running" ||
        state.driverHash === attempt.driver.hash ||
        state.attempt > attempt.attempt,
      `${name} runs other code than its record says`,
    )
  }

  ended(hostId: string, attempt: Attempt, result: DriverResult): void {
    this.#outcomes.set(nameOf(attempt), result)
    const step = `${attempt.runId}/${attempt.stepId}`
    const live = (this.#live.get(step) ?? []).filter(
      (one) => one.hostId !== hostId || one.attempt !== attempt.attempt,
    )
    if (live.length > 0) this.#live.set(step, live)
    else this.#live.delete(step)
  }

  /** This host is stopped in its tracks, or its lease taken away: what it runs may overlap with what follows. */
  excuse(hostId: string): void {
    for (const live of this.#live.values()) {
      for (const one of live) if (one.hostId === hostId) one.excused = true
    }
  }

  /** Throws when anything is left that a finished run leaves behind, or when an acknowledged run is not there. */
  expectAllEnded(): void {
    for (const runId of this.#acknowledged) {
      const account = this.#runs.get(runId)
      if (account?.header === undefined) throw new Error(`run ${runId} was acknowledged and is lost`)
    }
    for (const [runId, { header, active, claims, states }] of this.#runs) {
      if (header === undefined) continue
      if (!isEnded(header.status)) throw new Error(`run ${runId} is still ${header.status}`)
      if (active) throw new Error(`run ${runId} has ended and is marked as active`)
      if (claims.size > 0) throw new Error(`run ${runId} has ended and ${[...claims.keys()]} is claimed`)
      const statuses = [...states.values()].map(({ status }) => status)
      const isConsistent =
        header.status === "succeeded"
          ? statuses.every((status) => status === "succeeded")
          : header.status === "cancelled" || statuses.includes("failed")
      if (!isConsistent) throw new Error(`run ${runId} is ${header.status} with steps that are ${statuses}`)
    }
  }

  /** The ids of the runs that have not ended. */
  get open(): readonly string[] {
    return [...this.#runs]
      .filter(([, { header }]) => header !== undefined && !isEnded(header.status))
      .map(([runId]) => runId)
  }

  /** The runs that have not ended, and where they stand. */
  describeOpen(): string {
    return this.open
      .map((runId) => {
        const { header, states, claims } = this.#accountOf(runId)
        return JSON.stringify({ header, states: [...states], claims: [...claims] })
      })
      .join("\n")
  }

  /** A promise was broken. */
  fail(sentence: string): void {
    this.#broken.reject(new Error(sentence))
  }

  #expect(holds: boolean, sentence: string): void {
    if (!holds) this.fail(sentence)
  }

  #accountOf(runId: string): Account {
    const known = this.#runs.get(runId)
    if (known !== undefined) return known
    const account: Account = { header: undefined, active: false, states: new Map(), claims: new Map() }
    this.#runs.set(runId, account)
    return account
  }

  async #observe(change: Change): Promise<void> {
    const key = parseRunKey(keyOf(change))
    if (key === undefined) return
    this.changes++
    const value = change.type === "put" ? change.entry.value : undefined
    this.#trace.update(`${revisionOf(change)} ${keyOf(change)} ${value ?? "-"}\n`)
    const account = this.#accountOf(key.runId)
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
          this.#observeState(account, key.stepId, JSON.parse(value) as StepState, revisionOf(change))
        }
        break
      case "claim":
        if (value === undefined) account.claims.delete(key.stepId)
        else this.#observeClaim(account, key.stepId, JSON.parse(value) as Claim)
        break
      default:
        key satisfies never
    }
  }

  async #observeHeader(account: Account, run: Run): Promise<void> {
    const { header } = account
    this.#expect(header === undefined || !isEnded(header.status), `run ${run.runId} changed after its end`)
    this.#expect(
      header?.pipeline?.hash === run.pipeline?.hash || header === undefined,
      "a run changed its pipeline",
    )
    this.#expect(header?.steps === undefined || sameJson(header.steps, run.steps), "a run changed its steps")
    for (const [driver, hash] of Object.entries(header?.drivers ?? {})) {
      this.#expect(run.drivers?.[driver] === hash, `run ${run.runId} changed its code of ${driver}`)
    }
    account.header = run
    if (run.pipeline !== undefined && !this.#pipelines.has(run.pipeline.hash)) {
      const entry = await this.#store.get(pipelineRevisionKey(run.pipeline.hash))
      this.#expect(entry !== undefined, `run ${run.runId} is pinned to a pipeline that is not there`)
      if (entry !== undefined) this.#pipelines.set(run.pipeline.hash, JSON.parse(entry.value) as Pipeline)
    }
    if (!isEnded(run.status)) return
    for (const [stepId, { status }] of account.states) {
      this.#expect(status !== "running", `run ${run.runId} ended while ${stepId} was running`)
    }
  }

  #observeState(account: Account, stepId: string, state: StepState, revision: Revision): void {
    const { header, states, claims } = account
    const before = states.get(stepId)
    const name = `${header?.runId}/${stepId}#${state.attempt}`
    this.#expect(header !== undefined && !isEnded(header.status), `${name} changed after the end`)
    this.#expect(before === undefined || !("result" in before), `a result of ${name} was applied twice`)
    if (state.status === "running") {
      this.#expect(
        state.attempt === (before?.attempt ?? 0) + 1,
        `${name} came after #${before?.attempt ?? 0}`,
      )
      this.#expect(!claims.has(stepId), `${name} started while it was claimed`)
      const stopping = header?.status === "running" && header.stopping !== undefined
      this.#expect(!stopping && header?.cancelRequestedAt === undefined, `${name} started in a stopping run`)
      for (const need of this.#needsOf(account, stepId)) {
        this.#expect(states.get(need)?.status === "succeeded", `${name} started before ${need}`)
      }
    } else {
      this.#expect(state.attempt === (before?.attempt ?? 0), `${name} took the place of #${before?.attempt}`)
      if (before?.status === "running" && state.status !== "waiting") this.#observeResult(name, state)
      if (before?.status === "running") this.#observeEnd(account, { stepId, before, state, revision })
    }
    states.set(stepId, state)
  }

  /** An attempt ends by the word of the host that holds it, or as cancelled when nobody does. */
  #observeEnd(
    { claims }: Account,
    {
      stepId,
      before,
      state,
      revision,
    }: { stepId: string; before: StepState & { status: "running" }; state: StepState; revision: Revision },
  ): void {
    const claim = claims.get(stepId)
    if (claim === undefined) {
      const { status } = state
      this.#expect(
        status === "cancelled" || status === "waiting",
        `${stepId} was ended by a host that lost it`,
      )
      return
    }
    const isHolders = claim.hostId === before.hostId && claim.attempt === before.attempt
    this.#expect(isHolders, `${stepId} was ended although ${claim.hostId} held it`)
    this.#holders.set(revision, claim.hostId)
    this.#checkAuthor(revision)
  }

  #checkAuthor(revision: Revision): void {
    const [author, holder] = [this.#authors.get(revision), this.#holders.get(revision)]
    if (author === undefined || holder === undefined) return
    this.#expect(author === holder, `${author} ended an attempt that ${holder} held`)
    this.#holders.delete(revision)
    this.#authors.delete(revision)
  }

  #observeResult(name: string, state: StepState): void {
    if (!this.#seesAttempts || !("result" in state) || state.status === "cancelled") return
    const outcome = this.#outcomes.get(name)
    this.#expect(outcome !== undefined, `${name} has a result and no driver gave it`)
    this.#expect(outcome?.message === state.result.message, `${name} has a result that is not its own`)
  }

  #observeClaim({ header, claims, states }: Account, stepId: string, claim: Claim): void {
    const name = `${header?.runId}/${stepId}`
    this.#expect(!claims.has(stepId), `${name} was claimed while it was claimed`)
    const state = states.get(stepId)
    const isItsOwn = state?.status === "running" && state.attempt === claim.attempt
    this.#expect(isItsOwn, `${name} was claimed for #${claim.attempt}, which does not run`)
    claims.set(stepId, claim)
  }

  #needsOf({ header }: Account, stepId: string): readonly string[] {
    if (header?.pipeline === undefined) return []
    const { steps } = this.#pipelines.get(header.pipeline.hash) ?? {}
    return steps?.find(({ id }) => id === stepId)?.needs ?? []
  }
}

const nameOf = ({ runId, stepId, attempt }: Attempt) => `${runId}/${stepId}#${attempt}`

const sameJson = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
