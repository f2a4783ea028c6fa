import type { Logger } from "pino"
import type { Guard, Store } from "../store/store.ts"
import { collectIdempotency } from "./collect-idempotency.ts"
import { collectRuns } from "./collect-runs.ts"
import { collectVersions } from "./collect-versions.ts"
import { CollectorLease } from "./collector-lease.ts"
import { Compaction } from "./compaction.ts"
import { type KeptDrivers, LocalDrivers } from "./local-drivers.ts"
import { collectLocalFiles } from "./local-files.ts"
import { OrphanParts } from "./orphan-parts.ts"
import { findReferences } from "./references.ts"
import { StrayResults } from "./stray-results.ts"
import type { Moment, RetentionLimits, Sweep } from "./sweep.ts"
import { Unreferenced } from "./unreferenced.ts"

export interface RetentionOptions {
  readonly store: Store
  /** The data folder of this host. */
  readonly data: string
  /** The code of drivers in that folder. */
  readonly drivers: KeptDrivers
  readonly hostId: string
  readonly limits: RetentionLimits
  readonly now: () => Moment
  readonly log: Pick<Logger, "info" | "warn" | "error">
  /** Between two passes. Default: a minute. */
  readonly intervalMs?: number
  /** Before the first pass, so that it does not come while a host starts. Default: five seconds. */
  readonly firstAfterMs?: number
  /** How long nothing must refer to a pipeline revision or a driver bundle. Default: ten minutes. */
  readonly unreferencedForMs?: number
  /** How much history stays in a store that is to be compacted. Default: ten minutes. */
  readonly historyMs?: number
}

/** What a pass has deleted. */
export interface Collected {
  readonly runs: number
  readonly versions: number
  /** Pipeline revisions and driver bundles. */
  readonly unreferenced: number
  readonly idempotencyKeys: number
  /** Logs, workspaces, large data and code of drivers of this host. */
  readonly files: number
}

/** A pause is this many times as long as the work before it, between these bounds. */
const pauseRatio = 2
const pauseMsMin = 1
const pauseMsMax = 100
const leaseTtlMsMin = 10_000

/**
 * Deletes what need not be kept, pass after pass, in small guarded commits with pauses between them. Of all hosts on a
 * store one collects the store; each collects its own files. A pass that breaks off is made good by the next one.
 */
export class Retention implements AsyncDisposable {
  readonly #options: RetentionOptions
  readonly #intervalMs: number
  readonly #lease: CollectorLease
  readonly #unreferenced: Unreferenced
  readonly #orphanParts: OrphanParts
  readonly #localDrivers: LocalDrivers
  readonly #compaction: Compaction
  readonly #strays: StrayResults
  readonly #stop = new AbortController()
  #timer: Timer | undefined
  #passing: Promise<Collected> | undefined
  #workedSince = 0
  /** The last pass broke off, and that was said. */
  #failing = false

  constructor(options: RetentionOptions) {
    const { store, hostId, unreferencedForMs = 600_000, historyMs = 600_000 } = options
    this.#options = options
    this.#intervalMs = options.intervalMs ?? 60_000
    this.#lease = new CollectorLease(store, {
      hostId,
      ttlMs: Math.max(leaseTtlMsMin, 3 * this.#intervalMs),
    })
    this.#unreferenced = new Unreferenced({ graceMs: unreferencedForMs })
    this.#orphanParts = new OrphanParts({ graceMs: unreferencedForMs })
    this.#localDrivers = new LocalDrivers(options.drivers, { graceMs: unreferencedForMs })
    this.#strays = new StrayResults(store)
    this.#compaction = new Compaction({ historyMs })
  }

  /** From now on there are passes. */
  start(): void {
    this.#passAfter(this.#options.firstAfterMs ?? 5_000)
  }

  /** Makes a pass now, or joins the one under way. Rejects with the store's errors, and when it is stopped. */
  pass(): Promise<Collected> {
    this.#passing ??= this.#pass().finally(() => {
      this.#passing = undefined
    })
    return this.#passing
  }

  /** Ends the pass under way at its next pause, and leaves the collecting to another host. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("The collecting is over"))
    clearTimeout(this.#timer)
    await this.#passing?.catch(() => {})
    await this.#lease[Symbol.asyncDispose]().catch((error: unknown) =>
      this.#options.log.warn(
        { err: error },
        "the collector's lease could not be given back; it ends by itself",
      ),
    )
  }

  #passAfter(ms: number): void {
    this.#timer = setTimeout(() => void this.#passAndGoOn(), ms)
  }

  async #passAndGoOn(): Promise<void> {
    const { log } = this.#options
    try {
      const collected = await this.pass()
      this.#failing = false
      if (Object.values(collected).some((count) => count > 0))
        log.info(collected, "collected what need not be kept")
    } catch (error) {
      if (this.#stop.signal.aborted) return
      if (!this.#failing) log.error({ err: error }, "a pass of the collector broke off; the next one goes on")
      this.#failing = true
    }
    if (!this.#stop.signal.aborted) this.#passAfter(this.#intervalMs)
  }

  async #pass(): Promise<Collected> {
    this.#stop.signal.throwIfAborted()
    this.#workedSince = performance.now()
    const { store, data, limits, now } = this.#options
    const fence = await this.#lease.hold()
    const ofStore = fence === undefined ? nothing : await this.#collectStore(fence)
    const pause = () => this.#pause()
    const files = await collectLocalFiles({ store, data, limits, at: now(), pause, strays: this.#strays })
    const drivers = await this.#localDrivers.collect({ store, at: now(), pause }, { data })
    return { ...ofStore, files: files + drivers }
  }

  async #collectStore(fence: Guard): Promise<Omit<Collected, "files">> {
    const { store, limits, now } = this.#options
    const pause = async () => {
      await this.#pause()
      const held = await this.#lease.hold()
      if (held?.modRevision !== fence.modRevision) throw new Error("Another host collects this store now")
    }
    const sweep: Sweep = { store, limits, at: now(), pause, fence }
    const runs = await collectRuns(sweep)
    // After the runs: what only they referred to goes with them.
    const references = await findReferences(sweep)
    const versions = await collectVersions(sweep, references)
    const ofReferences = await this.#unreferenced.collect(sweep, references)
    const unreferenced = ofReferences + (await this.#orphanParts.collect(sweep))
    const idempotencyKeys = await collectIdempotency(sweep)
    await this.#compaction.advance(sweep)
    return { runs, versions, unreferenced, idempotencyKeys }
  }

  async #pause(): Promise<void> {
    this.#stop.signal.throwIfAborted()
    const workedMs = performance.now() - this.#workedSince
    await Bun.sleep(Math.min(pauseMsMax, Math.max(pauseMsMin, workedMs * pauseRatio)))
    this.#stop.signal.throwIfAborted()
    this.#workedSince = performance.now()
  }
}

const nothing = { runs: 0, versions: 0, unreferenced: 0, idempotencyKeys: 0 } as const
