import type { DriverHost } from "../drivers/driver-host.ts"
import { isStoreFault } from "../errors.ts"
import type { JsonObject } from "../model/json.ts"
import { canonicalJson } from "../model/json.ts"
import { didYouMean, nearestName } from "../model/nearest.ts"
import { type PipelineStep, timeoutMsDefault } from "../model/pipeline.ts"
import { isEnded, pinOf, type Run } from "../model/run.ts"
import { claimKey, runKey } from "../store/keys.ts"
import type { Store } from "../store/store.ts"
import type { AttemptOrder, Deferral } from "./attempts.ts"
import type { DriverBundles } from "./bundles.ts"

/** How many pieces of work the drivers of one run may defer, and how long the input of each may be as JSON. */
export const deferredMax = 100
export const deferredInputLengthMax = 64 * 1024

/** How long to wait when the store is away. */
const retryMs = 250

/**
 * What drivers put off to the end of their run. It is written into the run's header, by a commit that holds only as long
 * as the attempt is this host's, before the driver goes on; the plan runs it when all else has ended.
 */
export class DeferredWork {
  readonly #store: Store
  readonly #drivers: DriverHost
  readonly #bundles: DriverBundles

  constructor(parts: {
    readonly store: Store
    readonly drivers: DriverHost
    readonly bundles: DriverBundles
  }) {
    this.#store = parts.store
    this.#drivers = parts.drivers
    this.#bundles = parts.bundles
  }

  /**
   * Resolves when it is written down, however long the store is away meanwhile. What the same step deferred already, an
   * earlier attempt of it perhaps, is not written twice. Rejects with a message for the driver's author when there is no
   * such driver, when it is too much, or when this host holds the attempt no more.
   */
  async add(order: AttemptOrder, { driver, input, signal }: Deferral): Promise<void> {
    const text = canonicalJson(input)
    if (text.length > deferredInputLengthMax) {
      throw new Error(
        `Expected an input of at most ${deferredInputLengthMax} characters as JSON, found ${text.length}`,
      )
    }
    for (;;) {
      try {
        if (await this.#write(order, { driver, input, text })) return
      } catch (error) {
        if (!isStoreFault(error) || signal.aborted) throw error
        await Bun.sleep(retryMs)
      }
    }
  }

  /** Answers whether it is written down; if not, somebody else wrote the header meanwhile. */
  async #write(
    { content, step, state }: AttemptOrder,
    { driver, input, text }: Omit<Deferral, "signal"> & { readonly text: string },
  ): Promise<boolean> {
    const { runId } = content.run
    const [header, claim] = await Promise.all([
      this.#store.get(runKey(runId)),
      this.#store.get(claimKey(runId, step.id)),
    ])
    const run = header && (JSON.parse(header.value) as Run)
    const held = claim && (JSON.parse(claim.value) as { attempt: number; hostId: string })
    if (header === undefined || run === undefined || claim === undefined || isEnded(run.status)) throw gone()
    if (held?.attempt !== state.attempt || held.hostId !== state.hostId) throw gone()
    const known = run.deferred ?? []
    if (known.some((other) => isSame(other, step.id, driver, text))) return true
    if (known.length >= deferredMax) throw new Error(`A run may defer at most ${deferredMax} pieces of work`)
    const deferred = this.#stepFor(step.id, { driver, input, run, taken: [...content.steps, ...known] })
    await this.#bundles.keep([deferred.role.driverHash])
    const guards = [header, claim].map(({ key, modRevision }) => ({ key, modRevision }))
    const value = JSON.stringify({ ...run, deferred: [...known, deferred] })
    return (await this.#store.commit(guards, [{ type: "put", key: header.key, value }])) !== undefined
  }

  #stepFor(
    of: string,
    {
      driver,
      input,
      run,
      taken,
    }: {
      readonly driver: string
      readonly input: JsonObject
      readonly run: Run
      readonly taken: readonly PipelineStep[]
    },
  ) {
    const driverHash = pinOf(run, driver) ?? this.#drivers.find(driver)?.hash
    if (driverHash === undefined) {
      const nearest = nearestName(
        driver,
        this.#drivers.list().map(({ name }) => name),
      )
      throw new Error(`This host has no driver "${driver}" to defer to${didYouMean(nearest)}`)
    }
    const ids = new Set(taken.map(({ id }) => id))
    let id = `${of}.deferred`
    for (let n = 2; ids.has(id); n++) id = `${of}.deferred-${n}`
    return {
      id,
      driver,
      with: input,
      needs: [],
      role: { type: "deferred", of, driverHash },
      timeoutMs: timeoutMsDefault,
    } satisfies PipelineStep
  }
}

function isSame(other: PipelineStep, of: string, driver: string, input: string): boolean {
  return (
    other.role?.type === "deferred" &&
    other.role.of === of &&
    other.driver === driver &&
    canonicalJson(other.with ?? {}) === input
  )
}

function gone(): Error {
  return new Error("The attempt is over: nothing can be deferred any more")
}
