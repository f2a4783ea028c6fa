import type { StepState } from "../../../src/model/run.ts"

/** How long it takes until another attempt takes up what a host was doing that got out of reach. */
export class Takeovers {
  readonly #downAt = new Map<string, number>()
  readonly #tookMs: number[] = []

  /** This host gets out of reach now. */
  down(hostId: string): void {
    this.#downAt.set(hostId, performance.now())
  }

  /** An attempt has started; `before` is the state it took the place of. */
  started(before: StepState | undefined, after: StepState): void {
    if (before?.status !== "running" || after.status !== "running") return
    const downAt = this.#downAt.get(before.hostId)
    if (downAt !== undefined) this.#tookMs.push(performance.now() - downAt)
  }

  get summary() {
    const sorted = this.#tookMs.toSorted((a, b) => a - b)
    return {
      takeovers: sorted.length,
      takeoverP50Ms: sorted[Math.floor(sorted.length / 2)] ?? 0,
      takeoverMaxMs: sorted.at(-1) ?? 0,
    }
  }
}
