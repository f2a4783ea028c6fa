/** The runs that could start a step but for the lack of a slot: by priority, then by how long they have waited. */
export class StarvedRuns {
  readonly #byPriority = new Map<number, Set<string>>()
  readonly #priorities = new Map<string, number>()

  /** One that waits already keeps its place. */
  add(runId: string, priority: number): void {
    if (this.#priorities.has(runId)) return
    this.#priorities.set(runId, priority)
    const runs = this.#byPriority.get(priority)
    if (runs !== undefined) runs.add(runId)
    else this.#byPriority.set(priority, new Set([runId]))
  }

  delete(runId: string): void {
    const priority = this.#priorities.get(runId)
    if (priority === undefined) return
    this.#priorities.delete(runId)
    const runs = this.#byPriority.get(priority)
    runs?.delete(runId)
    if (runs?.size === 0) this.#byPriority.delete(priority)
  }

  /** Takes out the one whose turn it is; undefined when there is none. */
  take(): string | undefined {
    if (this.#byPriority.size === 0) return undefined
    const highest = Math.max(...this.#byPriority.keys())
    const [runId] = this.#byPriority.get(highest) ?? []
    if (runId !== undefined) this.delete(runId)
    return runId
  }
}
