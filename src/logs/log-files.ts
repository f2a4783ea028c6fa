import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { ConveyorError } from "../errors.ts"
import type { LogLine, UnwrittenLogLine } from "../model/log.ts"
import { isUuid } from "../model/uuid.ts"
import { folderSync } from "./folder-sync.ts"
import { LogReader } from "./log-reader.ts"
import type { LogStore } from "./log-store.ts"
import { LogWriter } from "./log-writer.ts"
import { slots } from "./slots.ts"

/** Files that are held open between appends, and files written at the same time. */
const idleFilesMax = 128
const busyFilesMax = 64

/** Opens the logs in a folder, which is made when it is missing. One process at a time may write there. */
export async function openLogStore(folder: string): Promise<LogStore> {
  await mkdir(folder, { recursive: true })
  return new LogFiles(folder)
}

class LogFiles implements LogStore {
  readonly #folder: string
  readonly #syncFolder: () => Promise<void>
  readonly #turn = slots(busyFilesMax)
  /** Least recently used first. */
  readonly #writers = new Map<string, LogWriter>()
  readonly #followers = new Map<string, Set<() => void>>()
  readonly #closed = new AbortController()

  constructor(folder: string) {
    this.#folder = folder
    this.#syncFolder = folderSync(folder)
  }

  file(runId: string): string {
    if (!isUuid(runId)) throw new ConveyorError("INVALID", `${JSON.stringify(runId)} is not the id of a run`)
    return join(this.#folder, `${runId}.jsonl`)
  }

  async append(runId: string, lines: readonly UnwrittenLogLine[]): Promise<void> {
    if (this.#closed.signal.aborted) throw new ConveyorError("SHUTTING_DOWN", "The logs are closed")
    const writer = this.#writers.get(runId) ?? this.#newWriter(runId)
    if (lines.length === 0) return
    this.#writers.delete(runId)
    this.#writers.set(runId, writer)
    const written = writer.append(lines)
    if (this.#writers.size > idleFilesMax) this.#closeIdle()
    await written
  }

  async *read(
    runId: string,
    options: { readonly after?: number; readonly follow?: boolean; readonly signal: AbortSignal },
  ): AsyncGenerator<readonly LogLine[]> {
    await using reader = new LogReader(this.file(runId), options.after ?? 0)
    const signal = AbortSignal.any([options.signal, this.#closed.signal])
    using growth = this.#growthOf(runId, signal)
    while (!options.signal.aborted) {
      growth.forget()
      const lines = await reader.next()
      if (lines.length === 0 && options.follow !== true) return
      yield lines
      if (lines.length === 0 && !(await growth.happens())) return
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort()
    await Promise.all([...this.#writers.values()].map((writer) => writer.close()))
    this.#writers.clear()
  }

  #newWriter(runId: string): LogWriter {
    return new LogWriter({
      runId,
      file: this.file(runId),
      syncFolder: this.#syncFolder,
      turn: this.#turn,
      onGrow: () => {
        for (const wake of this.#followers.get(runId) ?? []) wake()
      },
    })
  }

  /** A writer that is idle may go: the next append makes a new one, which finds the end of the file by itself. */
  #closeIdle(): void {
    for (const [runId, writer] of this.#writers) {
      if (this.#writers.size <= idleFilesMax) return
      if (!writer.idle) continue
      this.#writers.delete(runId)
      writer.close().catch(() => {})
    }
  }

  /** Tells a follower that the file grew since it last forgot; so nothing is missed between a read and a wait. */
  #growthOf(runId: string, signal: AbortSignal): Growth {
    let grew = false
    let wake = () => {}
    const onGrow = () => {
      grew = true
      wake()
    }
    const followers = this.#followers.get(runId) ?? new Set()
    this.#followers.set(runId, followers.add(onGrow))
    const onAbort = () => wake()
    signal.addEventListener("abort", onAbort)
    return {
      forget: () => {
        grew = false
      },
      happens: async () => {
        while (!grew && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
        return !signal.aborted
      },
      [Symbol.dispose]: () => {
        signal.removeEventListener("abort", onAbort)
        followers.delete(onGrow)
        if (followers.size === 0 && this.#followers.get(runId) === followers) this.#followers.delete(runId)
      },
    }
  }
}

interface Growth extends Disposable {
  forget(): void
  /** True when the file grew, false when it is over. */
  happens(): Promise<boolean>
}
