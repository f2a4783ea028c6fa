import type { Logger } from "pino"
import { messageOf } from "../errors.ts"
import type { HostLease } from "../hosts/host-lease.ts"
import { isEnded, type Run } from "../model/run.ts"
import { follow } from "../store/follow.ts"
import { prefixes } from "../store/keys.ts"
import type { Change, Revision, Store } from "../store/store.ts"
import { commitOf, takeIn } from "./apply.ts"
import { LocalAttempts } from "./attempts.ts"
import { DriverBundles } from "./bundles.ts"
import { ConcurrencyKeys } from "./concurrency-keys.ts"
import { CurrentPipelines } from "./current-pipelines.ts"
import type { Effect, Now, Observed, Transition } from "./decision.ts"
import { DeferredWork } from "./deferred-work.ts"
import type { EngineOptions } from "./engine-options.ts"
import { OtherHosts } from "./hosts.ts"
import { KnownRuns } from "./known-runs.ts"
import { LargeData } from "./large-data.ts"
import type { ObservedRun } from "./observe.ts"
import { observedOf, orderOf } from "./observed-run.ts"
import { plan } from "./plan.ts"
import { RunQueue } from "./queue.ts"
import { RunRecords } from "./records.ts"
import { requestReplacement } from "./replacement.ts"
import { StarvedRuns } from "./starved-runs.ts"
import { Troubles } from "./troubles.ts"

/** Runs being worked on at the same moment; the others wait in the queue. It bounds reads, not attempts. */
const parallelMax = 256
const retryMs = 250
/** How long, after their grace period, attempts may take to give their claims back before the host stops anyway. */
const settleMsMax = 5_000
const conflictBackoffMsMax = 500

/**
 * Observes runs, plans, applies. It is level-triggered: its queue holds run ids, and every look at a run starts from
 * what is known now, so a restart, a lost wake-up, a hot reload and a takeover are the same path. Many engines may
 * share one store; guards and claims keep them from doing anything twice.
 */
export class Engine implements AsyncDisposable {
  readonly #options: EngineOptions
  readonly #store: Store
  readonly #log: Logger
  readonly #lease: HostLease
  readonly #attempts: LocalAttempts
  readonly #records: RunRecords
  readonly #otherHosts: OtherHosts
  readonly #bundles: DriverBundles
  readonly #pipelines: CurrentPipelines
  readonly #deferred: DeferredWork
  readonly #keys: ConcurrencyKeys
  readonly #data: LargeData
  readonly #runs: KnownRuns
  readonly #queue: RunQueue
  readonly #starved = new StarvedRuns()
  readonly #troubles: Troubles
  readonly #stop = new AbortController()
  #starting = 0
  #draining = false
  #attemptsEnded: Promise<void> | undefined

  constructor(options: EngineOptions) {
    this.#options = options
    this.#store = options.store
    this.#log = options.log
    this.#troubles = new Troubles({ log: options.log, mayWrite: () => this.#lease.current !== undefined })
    this.#bundles = new DriverBundles(options.store, options.drivers)
    this.#pipelines = new CurrentPipelines(options.store, () => this.#runs.wakeHeld())
    this.#deferred = new DeferredWork({
      store: options.store,
      drivers: options.drivers,
      bundles: this.#bundles,
    })
    this.#keys = new ConcurrencyKeys(options.store, (runIds) => {
      for (const runId of runIds) this.#runs.wakeKnown(runId)
    })
    this.#data = new LargeData(options.results)
    this.#records = new RunRecords(options.store)
    this.#queue = new RunQueue({ parallelMax, work: (runId) => this.#look(runId) })
    this.#runs = new KnownRuns((runId) => this.#queue.wake(runId))
    this.#otherHosts = new OtherHosts(options.lease.hostId)
    this.#lease = options.lease
    this.#lease.listen({
      onLost: () => this.#onLeaseLost(),
      onGained: () => this.#runs.wakeAll(),
    })
    this.#attempts = new LocalAttempts({
      drivers: options.drivers,
      workspaces: options.workspaces,
      log: options.appendLog,
      results: options.results,
      graceMs: options.graceMs,
      // A lease is given up at two thirds of its TTL, and others may start what it held at the end of it.
      fencedGraceMs: Math.min(options.graceMs, options.lease.ttlMs / 4),
      defer: (order, work) => this.#deferred.add(order, work),
      onOutcome: (runId) => this.#queue.wake(runId),
    })
  }

  /** Attempts running on this host now. */
  get load(): number {
    return this.#attempts.count
  }

  /**
   * Resolves once this host has announced itself and knows every run that has not ended; work goes on from there.
   * Rejects with a `ConveyorError` when the store does not answer.
   */
  async start(): Promise<void> {
    this.#options.drivers.onChange(() => this.#onDrivers())
    await this.#lease.publish()
    const { signal } = this.#stop
    const onError = (cause: unknown) => this.#log.error({ err: cause }, "the watch failed; it is begun again")
    await Promise.all([
      this.#pipelines.start(signal, onError),
      this.#keys.start(signal, onError),
      follow(this.#store, {
        list: prefixes.hosts,
        watch: prefixes.hosts,
        signal,
        onError,
        onListing: (listing) => this.#otherHosts.restart(listing),
        onChanges: (changes) => this.#onHosts(changes),
      }),
    ])
    // The active marks say which runs are not over; the watch covers all that happens to runs after that listing.
    await follow(this.#store, {
      list: prefixes.activeRuns,
      watch: prefixes.runs,
      signal,
      onError,
      onListing: (listing) => this.#runs.restart(listing),
      onChanges: (changes, revision) => this.#runs.observe(changes, revision),
    })
  }

  /** No attempt starts any more; resolves when those that run have ended, or `graceMs` is over: then they are ended. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true
    await this.#attemptsOver(graceMs)
    if (this.#attempts.count > 0) await this.#endAttempts()
  }

  /** Ends what still runs, gives its claims back and stops looking. Runs go on elsewhere, or at the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true
    await this.#endAttempts()
    this.#stop.abort()
    this.#queue[Symbol.dispose]()
  }

  /** Waits once, however often it is called: with the store away, claims cannot be given back. */
  #endAttempts(): Promise<void> {
    this.#attempts.close("ended: the host is stopping")
    this.#attemptsEnded ??= this.#attemptsOver(this.#options.graceMs + settleMsMax)
    return this.#attemptsEnded
  }

  /** Resolves when there are no attempts, `ms` are over, or all have ended and the store is not there to be told. */
  async #attemptsOver(ms: number): Promise<void> {
    await Promise.race([
      this.#attempts.idle(ms),
      this.#attempts.settled().then(() => this.#troubles.outlast()),
    ])
  }

  #onHosts(changes: readonly Change[]): void {
    for (const change of changes) this.#otherHosts.observe(change)
    this.#bundles.lookAgain()
    // Records change with every attempt: only one that is new says that a host may answer again.
    if (changes.some(isArrival)) this.#data.lookAgain()
    this.#runs.wakeAll()
  }

  #onDrivers(): void {
    this.#bundles.lookAgain()
    this.#lease.publish().catch((error: unknown) => {
      this.#log.error({ err: error }, "the host's record could not be written")
    })
    this.#runs.wakeAll()
  }

  /** Claims of the lost lease are nobody's, whatever was last seen of them: every run is read anew before it goes on. */
  async #onLeaseLost(): Promise<void> {
    this.#log.error("the host's lease is lost: its attempts end and others may take them over")
    this.#attempts.abortAll("fenced", "ended: this host lost its lease")
    this.#runs.missedNews()
    this.#troubles.wake()
    await Promise.race([this.#attempts.settled(), Bun.sleep(this.#lease.ttlMs / 3)])
  }

  async #look(runId: string): Promise<void> {
    const run = this.#runs.get(runId)
    if (run === undefined) return this.#admitStarved()
    try {
      await this.#advance(run)
      this.#admitStarved()
    } catch (error) {
      run.missedNews()
      // Its alarm looks at it again. Whoever else waits for a slot is not asked now, when the store may be away.
      this.#starved.delete(runId)
      if (this.#stop.signal.aborted) return
      this.#troubles.report(error, {
        about: { runId },
        message: `the run is looked at again: ${messageOf(error)}`,
      })
      this.#queue.wakeAt(runId, performance.now() + retryMs)
    }
  }

  /** Plans and applies until there is nothing to do for this run now. */
  async #advance(run: ObservedRun): Promise<void> {
    using _ = this.#data.holdFor(run)
    let conflicts = 0
    // Without a lease nothing may be claimed, launched or written; with the next one every run is looked at again.
    while (!this.#stop.signal.aborted && this.#lease.current !== undefined) {
      const missing = await this.#records.complete(run)
      if (!run.complete) continue
      if (run.header === undefined) return this.#drop(run.runId)
      if (missing === undefined && !run.hasItsPipeline) continue
      const observed = this.#observed(run, run.header, missing)
      const { transitions, effects, wakeAtMs, starved, behind, lacking } = plan(observed, clock())
      for (const effect of effects) this.#perform(run, effect)
      if (starved) this.#starved.add(run.runId, run.pipeline?.content.priority ?? 0)
      if (behind) this.#runs.wakeWhenCaughtUp(run.runId)
      this.#queue.wakeAt(run.runId, wakeAtMs)
      if (transitions.length === 0) {
        if (isEnded(run.header.status)) this.#endTracking(run)
        if (lacking.length > 0) await run.data?.load(lacking)
        else if (effects.every(({ type }) => type === "fetch" || type === "replace")) return
      } else if (await this.#commit(run, transitions)) {
        conflicts = 0
      } else {
        run.missedNews()
        await this.#readKey(transitions)
        await this.#lease.confirm()
        if (conflicts > 0) await Bun.sleep(Math.min(2 ** conflicts, conflictBackoffMsMax))
        conflicts++
      }
    }
  }

  /** A key that these were to change may not be as it was seen. */
  async #readKey(transitions: readonly Transition[]): Promise<void> {
    for (const each of transitions)
      if (each.type === "header" && each.key !== undefined) await this.#keys.read(each.key.name)
  }

  /** True when the first part of the transitions, at least, is written. False on a conflict, or without a lease. */
  async #commit(run: ObservedRun, transitions: readonly Transition[]): Promise<boolean> {
    const held = this.#lease.current
    if (held === undefined) return false
    const { guards, writes, taken } = commitOf(run, transitions, held, this.#keys)
    const starting = taken.filter(({ type }) => type === "start").length
    this.#starting += starting
    let revision: Revision | undefined
    try {
      for (const each of taken) {
        // A run may be pinned to code only when the code is safe.
        if (each.type === "header") await this.#bundles.keep(Object.values(each.run.drivers ?? {}))
      }
      revision = await this.#store.commit(guards, writes)
    } finally {
      this.#starting -= starting
    }
    if (revision === undefined) return false
    takeIn(run, taken, { revision, keys: this.#keys })
    for (const transition of taken) {
      const { type } = transition
      if (type === "settle" || type === "release") this.#forget(run.runId, transition.stepId)
      // At once, so that its slot counts as taken before anybody else looks for one. Not when the answer came late: the
      // lease may have ended, and the attempt that is known by then may be another host's.
      else if (type === "start" && this.#lease.current === held) {
        if (run.isHeld(transition.stepId, transition.state)) this.#launch(run, transition.stepId)
      }
    }
    return true
  }

  #forget(runId: string, stepId: string): void {
    this.#attempts.forget(runId, stepId)
    this.#admitStarved()
  }

  /** Wakes the run whose turn it is to take a slot, if there is one. If it takes none, its look wakes the next. */
  #admitStarved(): void {
    if (this.#slots <= 0) return
    const runId = this.#starved.take()
    if (runId !== undefined) this.#queue.wake(runId)
  }

  #perform(run: ObservedRun, effect: Effect): void {
    switch (effect.type) {
      case "launch":
        this.#launch(run, effect.stepId)
        break
      case "abort":
        this.#attempts.abort(run.runId, effect.stepId, effect)
        break
      case "discard":
        this.#forget(run.runId, effect.stepId)
        break
      case "leave":
        run.left.set(effect.stepId, effect.untilMs)
        break
      case "fetch":
        void this.#fetch(effect.hash)
        break
      case "replace":
        void this.#replace(run, effect.runId)
        break
      default:
        effect satisfies never
    }
  }

  /** Asks for a run to be cancelled that has to make room for this one. */
  async #replace({ runId }: ObservedRun, replaced: string): Promise<void> {
    try {
      await requestReplacement(this.#store, replaced, { by: runId })
    } catch (error) {
      this.#troubles.report(error, {
        about: { runId },
        message: `${replaced} is not replaced yet: ${messageOf(error)}`,
      })
      this.#queue.wakeAt(runId, performance.now() + retryMs)
    }
  }

  /** Many runs may wait for the same code: all of them are looked at when it is here, or turns out to be lost. */
  async #fetch(hash: string): Promise<void> {
    try {
      if (await this.#bundles.fetch(hash)) this.#runs.wakeAll()
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const message = `the code of a driver could not be fetched; it is tried again: ${messageOf(error)}`
      this.#troubles.report(error, { about: { hash }, message })
      await Bun.sleep(retryMs)
      this.#runs.wakeAll()
    }
  }

  #launch(run: ObservedRun, stepId: string): void {
    this.#attempts.launch(orderOf(run, stepId, this.#options))
  }

  #observed(run: ObservedRun, header: Run, missing: string | undefined): Observed {
    const { folder, labels, drivers, env } = this.#options
    return observedOf(run, header, {
      missing,
      env,
      now: clock(),
      caughtUp: this.#runs.isCaughtUp(run),
      isNewer: (other) => this.#runs.isNewer(other, run),
      local: this.#attempts.of(run.runId),
      pipelines: this.#pipelines,
      keys: this.#keys,
      host: {
        hostId: this.#lease.hostId,
        folder,
        labels,
        drivers,
        others: this.#otherHosts,
        bundles: this.#bundles,
        slots: this.#slots,
      },
    })
  }

  get #slots(): number {
    if (this.#draining || this.#lease.current === undefined) return 0
    return this.#options.attemptsMax - this.#attempts.count - this.#starting
  }

  #endTracking(run: ObservedRun): void {
    if (this.#attempts.of(run.runId).size > 0) return
    this.#queue.silence(run.runId)
    this.#starved.delete(run.runId)
    this.#runs.end(run)
  }

  #drop(runId: string): void {
    this.#queue.silence(runId)
    this.#runs.forget(runId)
    this.#starved.delete(runId)
  }
}

function isArrival(change: Change): boolean {
  return change.type === "put" && change.entry.createRevision === change.entry.modRevision
}

function clock(): Now {
  return { wallMs: Date.now(), monotonicMs: performance.now() }
}
