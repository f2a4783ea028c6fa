import { join } from "node:path"
import { messageOf } from "../errors.ts"
import {
  type AttemptResult,
  type DriverDescription,
  type DriverSchemas,
  listensFor,
} from "../model/driver.ts"
import { describeFault, type Fault } from "../model/fault.ts"
import { type AttemptRun, startAttempt } from "./attempt-run.ts"
import { type Catalogue, createCatalogue } from "./catalogue.ts"
import { type Attempt, AttemptAbort, type DriverHost, type KeptDrivers } from "./driver-host.ts"
import { createDriverLoader, type DriverLoader } from "./driver-loader.ts"
import { type DriverWatch, watchDrivers } from "./driver-watch.ts"
import { endOrphans } from "./end-processes.ts"
import { type KeptContent, keptContent } from "./kept-content.ts"
import { failure } from "./result.ts"
import { createDriverRunners, type DriverRunners } from "./runners.ts"
import { writeSdkTypes } from "./sdk-types.ts"
import { type Shipped, type ShippedDriver, shippedDrivers, workerEntry } from "./shipped.ts"
import { childrenGraceMs } from "./thread.ts"

/** Where the host of drivers says what nobody asked for. A pino logger is one. */
export interface DriverHostLog {
  error(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** Makes the host of the drivers in `folder`, which may be missing, and of those that come with Conveyor. */
export function createDriverHost(options: {
  readonly folder: string
  /** The data folder; bundles go below it, and child processes are marked with it. */
  readonly data: string
  readonly log?: DriverHostLog
  /** How much memory the heap of a worker may hold. Default no limit. */
  readonly workerBytesMax?: number
}): DriverHost & KeptDrivers {
  return new FolderDriverHost(options)
}

class FolderDriverHost implements DriverHost, KeptDrivers {
  readonly #folder: string
  readonly #data: string
  readonly #log: DriverHostLog | undefined
  readonly #runners: DriverRunners
  readonly #kept: KeptContent
  readonly #listeners: (() => void)[] = []
  /** Attempts under way, each with the hash of its driver. */
  readonly #running = new Map<AttemptRun, string>()
  #sdk = ""
  #faultsSaid: ReadonlySet<string> = new Set()
  #shipped: ReadonlyMap<string, ShippedDriver> = new Map()
  #loader: DriverLoader | undefined
  #catalogue: Catalogue | undefined
  #watch: DriverWatch | undefined
  #scanning: Promise<void> | undefined
  #scanAgain = false
  #disposed = false

  constructor({ folder, data, log, workerBytesMax }: Parameters<typeof createDriverHost>[0]) {
    this.#runners = createDriverRunners({
      entry: workerEntry,
      data,
      heapBytesMax: workerBytesMax ?? Number.MAX_SAFE_INTEGER,
      onHeap: (hash, message) => {
        const driver = this.list().find((known) => known.hash === hash)?.name ?? hash
        this.#log?.error({ driver }, message)
      },
    })
    this.#folder = folder
    this.#data = data
    this.#kept = keptContent({ folder: join(data, "drivers"), runners: this.#runners })
    this.#log = log
  }

  async start(): Promise<void> {
    if (this.#catalogue !== undefined) throw new Error("A driver host is started once")
    const shipped = await shippedDrivers()
    this.#sdk = shipped.sdk
    this.#catalogue = this.#createCatalogue(shipped)
    await this.#kept.start()
    await this.#rescan()
    this.#watch = watchDrivers(this.#folder, () => void this.#rescan())
  }

  find(name: string): DriverDescription | undefined {
    return this.#catalogue?.find(name)
  }

  listening(kind: string): readonly DriverDescription[] {
    return this.list().filter(({ resources }) => listensFor(resources, kind))
  }

  list(): readonly DriverDescription[] {
    return this.#catalogue?.list() ?? []
  }

  faults(): readonly Fault[] {
    return this.#catalogue?.faults() ?? []
  }

  schemasOf(hash: string): DriverSchemas {
    return this.#shipped.get(hash)?.schemas ?? this.#loader?.schemasOf(hash) ?? {}
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async run(attempt: Attempt): Promise<AttemptResult> {
    const { name, hash } = attempt.driver
    if (this.#disposed) return failure("The host is stopping")
    if (attempt.signal.aborted) return failure(messageOf(attempt.signal.reason))
    const startWork = await this.#workOf(hash)
    if (startWork === undefined) return failure(`This host has no driver "${name}" with the hash ${hash}`)
    const run = startAttempt(attempt, { data: this.#data, startWork })
    this.#running.set(run, hash)
    try {
      return await run.result
    } finally {
      this.#running.delete(run)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    await this.#watch?.[Symbol.asyncDispose]()
    await this.#scanning
    const runs = [...this.#running.keys()]
    for (const run of runs) run.abort(new AttemptAbort("shutdown", "The host is stopping"), 0)
    await Promise.all(runs.map(({ result }) => result))
    this.#runners[Symbol.dispose]()
    // What drivers have started by themselves ends with their workers.
    await endOrphans(this.#data, { graceMs: childrenGraceMs })
  }

  #createCatalogue({ sdk, drivers }: Shipped): Catalogue {
    this.#shipped = new Map(drivers.map((driver) => [driver.hash, driver]))
    const loader = createDriverLoader({
      folder: this.#folder,
      data: this.#data,
      sdk,
      runners: this.#runners,
    })
    this.#loader = loader
    return createCatalogue({
      folder: this.#folder,
      shipped: drivers.map(({ name, hash }) => ({
        name,
        hash,
        resources: [],
        type: "module",
        source: "builtin",
      })),
      loader,
    })
  }

  canRun(hash: string): boolean {
    return this.#runners.find(hash) !== undefined || this.#shipped.has(hash) || this.#kept.has(hash)
  }

  async bundleOf(hash: string): Promise<string | undefined> {
    return this.#shipped.get(hash)?.text ?? (await this.#kept.text(hash))
  }

  async adopt(hash: string, text: string): Promise<void> {
    await this.#kept.keep(hash, text)
  }

  async unserved(): Promise<readonly string[]> {
    const kept = await this.#kept.hashes()
    const used = this.#used()
    return kept.filter((hash) => !used.has(hash))
  }

  async forget(hash: string): Promise<boolean> {
    // A driver that is edited back while its code goes would serve without it.
    while (this.#scanning !== undefined) await this.#scanning
    if (this.#disposed || this.#used().has(hash)) return false
    this.#kept.forget(hash)
    return true
  }

  /** Hashes that serve, or run an attempt. */
  #used(): ReadonlySet<string> {
    return new Set([...this.list().map(({ hash }) => hash), ...this.#running.values()])
  }

  /** A shipped driver is written to disk, where a worker can import it, before its first attempt and not sooner. */
  async #workOf(hash: string): Promise<ReturnType<DriverRunners["find"]>> {
    const known = this.#runners.find(hash)
    if (known !== undefined) return known
    const shipped = this.#shipped.get(hash)
    if (shipped !== undefined) await this.#kept.keep(hash, shipped.text)
    return (await this.#kept.provide(hash)) ? this.#runners.find(hash) : undefined
  }

  /** Looks at the folder. A call while it looks makes it look once more, so the last change is always seen. */
  #rescan(): Promise<void> {
    this.#scanAgain = true
    this.#scanning ??= this.#scan().finally(() => {
      this.#scanning = undefined
    })
    return this.#scanning
  }

  async #scan(): Promise<void> {
    while (this.#scanAgain && !this.#disposed) {
      this.#scanAgain = false
      try {
        const isDifferent = await this.#catalogue?.rescan()
        // At once: from here on the new drivers are found, and whoever waits for one must be told.
        if (isDifferent) this.#swap()
        // Not before: a folder without a module that is a driver may be somebody else's.
        if (this.list().some(isOwnModule)) await writeSdkTypes(this.#folder, this.#sdk)
      } catch (error) {
        this.#log?.error({ error: messageOf(error) }, "The drivers folder cannot be read")
      }
    }
  }

  #swap(): void {
    this.#sayFaults()
    this.#runners.serve(new Set(this.list().map(({ hash }) => hash)))
    this.#watch?.watchOutside(this.#catalogue?.outsideInputs() ?? [])
    for (const listener of this.#listeners) listener()
  }

  /** Says each fault once, when it comes. */
  #sayFaults(): void {
    const faults = new Map(this.faults().map((fault) => [describeFault(fault), fault.severity]))
    for (const [fault, severity] of faults) {
      if (this.#faultsSaid.has(fault)) continue
      if (severity === "warning") this.#log?.warn({}, fault)
      else this.#log?.error({}, fault)
    }
    this.#faultsSaid = new Set(faults.keys())
  }
}

function isOwnModule({ source, type }: DriverDescription): boolean {
  return source !== "builtin" && type !== "executable"
}
