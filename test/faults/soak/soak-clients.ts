import { join } from "node:path"
import type { Random } from "../../rig/random.ts"
import type { HostSlot } from "./host-slot.ts"

const answerMsMax = 5_000
const againMs = 100

export interface SoakClientsOptions {
  readonly slots: readonly HostSlot[]
  readonly folder: string
  readonly random: Random
  readonly perSecond: number
  /** An answer that nobody should get. */
  readonly onBreach: (sentence: string) => void
}

/** Whoever submits resources, to any host that is up, again and again under the same key until one acknowledges it. */
export class SoakClients {
  readonly #options: SoakClientsOptions
  readonly #open = new Set<Promise<void>>()
  /** Runs that were acknowledged. */
  readonly acknowledged = new Set<string>()
  submitted = 0

  constructor(options: SoakClientsOptions) {
    this.#options = options
  }

  /** Submits until the signal aborts; resolves when all of it is acknowledged. */
  async submitUntil(signal: AbortSignal): Promise<void> {
    const { random, perSecond } = this.#options
    while (!signal.aborted) {
      const submission = this.#submit(++this.submitted).finally(() => this.#open.delete(submission))
      this.#open.add(submission)
      await Bun.sleep(random.below(2_000 / perSecond))
    }
    await Promise.all(this.#open)
  }

  /** Says that a cut-off attempt had no effect that its driver's journal would not show. */
  async resolve({ runId, stepId }: { readonly runId: string; readonly stepId: string }): Promise<void> {
    await this.#post(`runs/${runId}/steps/${stepId}/resolve`, { outcome: "retry" })
  }

  async #submit(number: number): Promise<void> {
    const { random, folder, onBreach } = this.#options
    const pipeline = random.pick(["release", "release", "pay", undefined])
    const body = {
      name: `app-${number}`,
      resource: "app",
      ...(pipeline === undefined ? {} : { pipeline }),
      spec: { journal: join(folder, "journal") },
    }
    for (;;) {
      const response = await this.#post("resources", body, { "idempotency-key": `soak-${number}` })
      if (response?.status === 201) {
        const { runid } = (await response.json().catch(() => ({}))) as { runid?: string }
        if (runid !== undefined) return void this.acknowledged.add(runid)
      } else if (response !== undefined && response.status < 500) {
        return onBreach(`submission ${number} was answered ${response.status}: ${await response.text()}`)
      }
      await Bun.sleep(againMs)
    }
  }

  /** Undefined when nobody answers. */
  async #post(
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<Response | undefined> {
    const up = this.#options.slots.flatMap(({ url }) => (url === undefined ? [] : [url]))
    if (up.length === 0) return undefined
    return await fetch(`${this.#options.random.pick(up)}/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(answerMsMax),
    }).catch(() => undefined)
  }
}
