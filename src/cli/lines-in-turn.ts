import type { StepView } from "../model/run-view.ts"
import type { StreamedLine } from "./client.ts"
import type { RunOutput } from "./run-output.ts"

/**
 * Brings a run's steps and log lines, which come by two ways, into an order that can be read: a line is told behind the
 * start of its attempt. Lines that came before the start was told wait for it; those of no step do not.
 */
export class LinesInTurn {
  readonly #output: Pick<RunOutput, "step" | "log">
  /** The newest attempt whose start or end has been told, by step. */
  readonly #begun = new Map<string, number>()
  #held: StreamedLine[] = []

  constructor(output: Pick<RunOutput, "step" | "log">) {
    this.#output = output
  }

  step(step: StepView): void {
    if (step.status === "running" || step.result !== undefined) this.#begun.set(step.id, step.attempt)
    // Of an attempt that has ended, what is held comes before its end.
    if (step.result !== undefined) this.#release()
    this.#output.step(step)
    this.#release()
  }

  line(line: StreamedLine): void {
    if (this.#isInTurn(line)) this.#output.log(line)
    else this.#held.push(line)
  }

  /** Tells what is still held: there will be no more steps to wait for. */
  end(): void {
    for (const line of this.#held.splice(0)) this.#output.log(line)
  }

  #release(): void {
    const held = this.#held
    this.#held = held.filter((line) => !this.#isInTurn(line))
    for (const line of held) if (this.#isInTurn(line)) this.#output.log(line)
  }

  #isInTurn({ step, attempt = 1 }: StreamedLine): boolean {
    return step === undefined || (this.#begun.get(step) ?? 0) >= attempt
  }
}
