import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { AttemptResult, DataRef } from "../../src/model/driver.ts"
import { fits, type Labels } from "../../src/model/labels.ts"
import type { StepState } from "../../src/model/run.ts"
import type { Revision, Store } from "../../src/store/store.ts"
import { Witness } from "./witness.ts"

/*
 * What must be so beside what a witness sees in the store, where attempts and their hosts can be seen too:
 *
 *   - an attempt is started once, on a host that has the labels its pipeline asks for
 *   - no two attempts of a step run at the same time, unless the host of one was stopped in its tracks
 *   - an attempt runs the code that its record says, under the token that its record says, and probes where it says so
 *   - a result is that of the attempt, and one that its driver gave
 *   - an attempt's end is written by the host that held it
 *   - data that a result only refers to is on the disk by then, and every attempt after it that cleans nothing up gets it
 */

interface LiveAttempt {
  readonly attempt: number
  readonly hostId: string
  /** Its host was stopped in its tracks, so it could not end it in time. */
  excused: boolean
}

export interface LedgerOptions {
  /** Is this data on the disk of its host? Default: no data is large. */
  readonly hasData?: (ref: DataRef) => boolean
}

/** Sees every change of every run, and every attempt that starts and ends; and says when a promise is broken. */
export class Ledger {
  readonly witness: Witness
  readonly #hasData: (ref: DataRef) => boolean
  readonly #launched = new Set<string>()
  readonly #live = new Map<string, LiveAttempt[]>()
  readonly #outcomes = new Map<string, AttemptResult>()
  readonly #authors = new Map<Revision, string>()
  readonly #holders = new Map<Revision, string>()
  readonly #acknowledged = new Set<string>()
  attempts = 0

  constructor(store: Store, { hasData = () => false }: LedgerOptions = {}) {
    this.#hasData = hasData
    this.witness = new Witness(store, {
      givesUp: (named) => this.#outcomes.get(named)?.retryable === false,
      onResult: (named, state) => this.#checkResult(named, state),
      onHeldEnd: (revision, hostId) => {
        this.#holders.set(revision, hostId)
        this.#checkAuthor(revision)
      },
    })
  }

  /** Runs that were submitted and acknowledged. */
  get acknowledged(): ReadonlySet<string> {
    return this.#acknowledged
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
  started(
    hostId: string,
    attempt: Attempt,
    { excused = false, labels = {} }: { readonly excused?: boolean; readonly labels?: Labels } = {},
  ): void {
    const named = nameOf(attempt)
    this.attempts++
    this.#expect(!this.#launched.has(named), `${named} was started twice`)
    this.#launched.add(named)
    const step = `${attempt.runId}/${attempt.stepId}`
    const live = this.#live.get(step) ?? []
    const other = excused ? undefined : live.find((one) => !one.excused)
    this.#expect(
      other === undefined,
      `${named} started on ${hostId} beside #${other?.attempt} on ${other?.hostId}`,
    )
    this.#live.set(step, [...live, { attempt: attempt.attempt, hostId, excused }])
    const wanted = this.witness.pipelineOf(attempt.runId)?.host ?? {}
    this.#expect(fits(labels, wanted), `${named} started on ${hostId}, which has not the labels it asks for`)
    this.#checkData(attempt)
    const state = this.witness.stateOf(attempt.runId, attempt.stepId)
    if (state?.status === "running" && state.attempt === attempt.attempt) this.#checkRecord(attempt, state)
  }

  /** Cleanup goes without what cannot be had. */
  #checkData(attempt: Attempt): void {
    if (this.witness.stepIn(attempt.runId, attempt.stepId)?.role !== undefined) return
    for (const [stepId, { data }] of Object.entries(attempt.results)) {
      const state = this.witness.stateOf(attempt.runId, stepId)
      const ref = state !== undefined && "result" in state ? state.result.dataRef : undefined
      const isWhole = ref === undefined || Buffer.byteLength(JSON.stringify(data ?? null)) === ref.bytes
      this.#expect(isWhole, `${nameOf(attempt)} started without the data of ${stepId}`)
    }
  }

  #checkRecord(attempt: Attempt, state: StepState & { readonly status: "running" }): void {
    const named = nameOf(attempt)
    const { runId, stepId } = attempt
    this.#expect(state.driverHash === attempt.driver.hash, `${named} runs other code than its record says`)
    const token = `${runId}/${stepId}/${state.origin ?? state.attempt}`
    this.#expect(attempt.token === token, `${named} has the token ${attempt.token}, not ${token}`)
    const probing = state.probing !== undefined
    this.#expect((attempt.probing === true) === probing, `${named} does not do what its record says`)
  }

  ended(hostId: string, attempt: Attempt, result: AttemptResult): void {
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

  /** Throws with the first promise that was broken, and when anything is left that a finished run leaves behind. */
  expectAllEnded(): void {
    this.witness.expectAllEnded(this.#acknowledged)
    const [breach] = this.witness.breaches
    if (breach !== undefined) throw new Error(breach)
  }

  #expect(holds: boolean, sentence: string): void {
    if (!holds) this.witness.fail(sentence)
  }

  #checkAuthor(revision: Revision): void {
    const [author, holder] = [this.#authors.get(revision), this.#holders.get(revision)]
    if (author === undefined || holder === undefined) return
    this.#expect(author === holder, `${author} ended an attempt that ${holder} held`)
    this.#holders.delete(revision)
    this.#authors.delete(revision)
  }

  #checkResult(named: string, state: StepState): void {
    if (!("result" in state) || state.status === "cancelled") return
    const outcome = this.#outcomes.get(named)
    this.#expect(outcome !== undefined, `${named} has a result and no driver gave it`)
    this.#expect(outcome?.message === state.result.message, `${named} has a result that is not its own`)
    const { dataRef } = state.result
    this.#expect(
      dataRef === undefined || this.#hasData(dataRef),
      `${named} refers to data that is not on the disk`,
    )
  }
}

const nameOf = ({ runId, stepId, attempt }: Attempt) => `${runId}/${stepId}#${attempt}`
