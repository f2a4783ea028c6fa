import { until } from "../rig/until.ts"

/** An answer to a submit that is no 201, and how long it took. */
export interface Refusal {
  readonly status: number
  readonly contentType: string | null
  readonly detail: string
  readonly ms: number
}

/** Resources that are submitted without end, whatever the answers are. */
export class ConstantLoad implements AsyncDisposable {
  /** Runs that were acknowledged, in that order. */
  readonly acknowledged: string[] = []
  readonly refusals: Refusal[] = []
  readonly #stopped = new AbortController()
  readonly #submitting: Promise<void>

  /** To these hosts in turn, one every `everyMs`. */
  constructor(urls: readonly string[], { everyMs }: { readonly everyMs: number }) {
    this.#submitting = this.#submit(urls, everyMs)
  }

  /** Resolves when that many more are acknowledged. */
  async more(count: number): Promise<void> {
    const before = this.acknowledged.length
    await until(`${count} more runs are acknowledged`, () => this.acknowledged.length >= before + count)
  }

  /** Resolves with the next refusal. */
  async nextRefusal(): Promise<Refusal> {
    const before = this.refusals.length
    return await until("a submit is refused", () => this.refusals[before])
  }

  /** Nothing more is submitted; resolves when all that was has its answer. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#submitting
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #submit(urls: readonly string[], everyMs: number): Promise<void> {
    const open = new Set<Promise<void>>()
    for (let n = 0; !this.#stopped.signal.aborted; n++) {
      const one = this.#submitOne(urls[n % urls.length] as string)
      open.add(one.finally(() => open.delete(one)))
      await Bun.sleep(everyMs)
    }
    await Promise.all(open)
  }

  async #submitOne(url: string): Promise<void> {
    const sentAt = performance.now()
    const response = await fetch(`${url}/resources`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: `part-${crypto.randomUUID()}`, resource: "part", pipeline: "line" }),
    })
    const answer = (await response.json()) as { readonly runid: string; readonly detail: string }
    if (response.status === 201) this.acknowledged.push(answer.runid)
    else
      this.refusals.push({
        status: response.status,
        contentType: response.headers.get("content-type"),
        detail: answer.detail,
        ms: performance.now() - sentAt,
      })
  }
}
