import type { Attempt, DriverHost } from "../../src/drivers/driver-host.ts"
import {
  type AttemptResult,
  type DriverDescription,
  type DriverResult,
  type DriverSchemas,
  listensFor,
} from "../../src/model/driver.ts"
import type { Fault } from "../../src/model/fault.ts"
import type { Json } from "../../src/model/json.ts"

/** An attempt in a test's hands: it goes on when the test says so. */
export class ScriptedAttempt {
  readonly attempt: Attempt
  readonly #settle: (result: AttemptResult) => void
  /** How the engine sees it end. */
  readonly result: Promise<AttemptResult>

  constructor(attempt: Attempt) {
    this.attempt = attempt
    const { promise, resolve } = Promise.withResolvers<AttemptResult>()
    this.result = promise
    this.#settle = resolve
    attempt.signal.addEventListener("abort", () => {
      resolve({ success: false, message: (attempt.signal.reason as Error).message })
    })
  }

  succeed(data?: Json, message = "done"): void {
    this.#settle({ success: true, message, ...(data === undefined ? {} : { data }) })
  }

  /** As a probe that could tell. */
  tell(result: DriverResult): void {
    this.#settle({ ...result, probed: true })
  }

  fail(message: string): void {
    this.#settle({ success: false, message })
  }

  /** As one that knows that another attempt would fail, too. */
  failForGood(message: string): void {
    this.#settle({ success: false, message, retryable: false })
  }
}

/** A driver host whose drivers do nothing until the test holds their attempts and settles them. */
export class ScriptedDrivers implements DriverHost {
  readonly #drivers = new Map<string, DriverDescription>()
  readonly #runnable = new Set<string>()
  readonly #listeners: (() => void)[] = []
  readonly #attempts: ScriptedAttempt[] = []
  #arrival = Promise.withResolvers<void>()
  /** Every attempt there ever was, as `step#attempt`, in the order they started. */
  readonly history: string[] = []
  /** Attempts of these drivers succeed by themselves, at once. */
  readonly automatic = new Set<string>()

  constructor(...names: string[]) {
    for (const name of names) this.add(name)
  }

  add(name: string, options: { hash?: string; resources?: readonly string[] } = {}): this {
    const { hash = `hash-of-${name}`, resources = [] } = options
    this.#runnable.add(hash)
    this.#drivers.set(name, { name, hash, resources, type: "module", source: `${name}.ts` })
    for (const listener of this.#listeners) listener()
    return this
  }

  remove(name: string): void {
    this.#drivers.delete(name)
    for (const listener of this.#listeners) listener()
  }

  /** The next attempt that starts, in order; of this step, when one is named. */
  async nextAttempt(stepId?: string): Promise<ScriptedAttempt> {
    for (;;) {
      const index = this.#attempts.findIndex(
        ({ attempt }) => stepId === undefined || attempt.stepId === stepId,
      )
      const [found] = index < 0 ? [] : this.#attempts.splice(index, 1)
      if (found !== undefined) return found
      await this.#arrival.promise
    }
  }

  /** How many attempts have started that no test has taken yet. */
  get untaken(): number {
    return this.#attempts.length
  }

  async start(): Promise<void> {}
  find(name: string): DriverDescription | undefined {
    return this.#drivers.get(name)
  }
  listening(kind: string): readonly DriverDescription[] {
    return this.list().filter(({ resources }) => listensFor(resources, kind))
  }
  list(): readonly DriverDescription[] {
    return [...this.#drivers.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }
  faults(): readonly Fault[] {
    return []
  }
  schemasOf(): DriverSchemas {
    return {}
  }
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }
  canRun(hash: string): boolean {
    return this.#runnable.has(hash)
  }
  async bundleOf(hash: string): Promise<string | undefined> {
    return this.#runnable.has(hash) ? `code of ${hash}` : undefined
  }
  async adopt(hash: string, text: string): Promise<void> {
    if (text !== `code of ${hash}`) throw new Error(`this is not the code of ${hash}: ${text}`)
    this.#runnable.add(hash)
  }

  run(attempt: Attempt): Promise<AttemptResult> {
    this.history.push(`${attempt.stepId}#${attempt.attempt}`)
    const scripted = new ScriptedAttempt(attempt)
    if (this.automatic.has(attempt.driver.name)) scripted.succeed()
    else this.#attempts.push(scripted)
    this.#arrival.resolve()
    this.#arrival = Promise.withResolvers<void>()
    return scripted.result
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
