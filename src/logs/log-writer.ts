import { type FileHandle, open } from "node:fs/promises"
import { ConveyorError, messageOf } from "../errors.ts"
import type { UnwrittenLogLine } from "../model/log.ts"
import { findTail } from "./log-tail.ts"
import { formatLine } from "./log-text.ts"

interface Append {
  readonly lines: readonly UnwrittenLogLine[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface LogWriterOptions {
  readonly runId: string
  readonly file: string
  /** Makes the name of a new file durable. */
  readonly syncFolder: () => Promise<void>
  /** Runs a flush when its turn has come; bounds how many files are written at the same time. */
  readonly turn: <T>(task: () => Promise<T>) => Promise<T>
  /** Called after each write, synced or not: there is more to read. */
  readonly onGrow: () => void
}

/**
 * The one writer of a run's log file. Appends that wait for each other share a write and a sync. A write that failed
 * leaves the file in doubt, so the next flush opens it anew and cuts what was torn.
 */
export class LogWriter {
  readonly #options: LogWriterOptions
  #file: FileHandle | undefined
  #sequence = 0
  #queue: Append[] = []
  #flushing: Promise<void> | undefined

  constructor(options: LogWriterOptions) {
    this.#options = options
  }

  /** Is there nothing waiting and nothing being written? */
  get idle(): boolean {
    return this.#flushing === undefined
  }

  /** Resolves when the lines are durable; lines of earlier calls come before them. */
  append(lines: readonly UnwrittenLogLine[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ lines, resolve, reject })
      this.#flushing ??= this.#flushAll()
    })
  }

  /** Waits for what was appended and closes the file. It may be used again: the next append opens it anew. */
  async close(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #flushAll(): Promise<void> {
    while (this.#queue.length > 0) await this.#options.turn(() => this.#flush())
    this.#flushing = undefined
  }

  async #flush(): Promise<void> {
    const appends = this.#queue
    this.#queue = []
    try {
      this.#file ??= await this.#open()
      await this.#write(this.#file, appends)
      for (const append of appends) append.resolve()
    } catch (cause) {
      await this.#file?.close().catch(() => {})
      this.#file = undefined
      const error = new ConveyorError(
        "STORE_UNAVAILABLE",
        `The log ${this.#options.file} cannot be written: ${messageOf(cause)}`,
        { cause },
      )
      for (const append of appends) append.reject(error)
    }
  }

  async #write(file: FileHandle, appends: readonly Append[]): Promise<void> {
    const { runId } = this.#options
    let text = ""
    for (const { lines } of appends) {
      for (const line of lines) text += formatLine({ sequence: ++this.#sequence, ...line, runId })
    }
    await file.writeFile(text)
    this.#options.onGrow()
    await file.datasync()
  }

  /** Opens the file for appending, behind its last whole line. */
  async #open(): Promise<FileHandle> {
    const file = await open(this.#options.file, "a+")
    try {
      const tail = await findTail(file)
      const { size } = await file.stat()
      if (size > tail.bytes) await file.truncate(tail.bytes)
      if (tail.bytes === 0) await this.#options.syncFolder()
      this.#sequence = tail.sequence
      return file
    } catch (error) {
      await file.close()
      throw error
    }
  }
}
