import { type FileHandle, open } from "node:fs/promises"
import type { LogLine } from "../model/log.ts"
import { lineFeed, parseLine } from "./log-text.ts"

const chunkBytes = 64 * 1024

/**
 * Whole lines after sequence `after` that are in the file now, in batches of about 64 KiB, and then, each time it is
 * asked again, what was appended since. Holds the file open from the first line on; close it.
 */
export class LogReader implements AsyncDisposable {
  readonly #path: string
  #file: FileHandle | undefined
  #position = 0
  #skip: number
  #buffer = Buffer.allocUnsafe(chunkBytes)

  constructor(path: string, after: number) {
    this.#path = path
    this.#skip = after
  }

  /** The next lines; empty when there are none now. */
  async next(): Promise<readonly LogLine[]> {
    this.#file ??= await openExisting(this.#path)
    if (this.#file === undefined) return []
    for (;;) {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, this.#buffer.length, this.#position)
      const whole = this.#buffer.subarray(0, bytesRead).lastIndexOf(lineFeed) + 1
      if (whole === 0 && bytesRead < this.#buffer.length) return []
      if (whole === 0) {
        this.#buffer = Buffer.allocUnsafe(this.#buffer.length * 2)
        continue
      }
      const { lines, read } = this.#parse(this.#buffer.subarray(0, whole))
      this.#position += read
      if (lines.length > 0 || read < whole) return lines
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close()
  }

  /** Stops before a line that is none: a crash left it, it was never acknowledged, and the next append cuts it. */
  #parse(bytes: Buffer): { readonly lines: readonly LogLine[]; readonly read: number } {
    const lines: LogLine[] = []
    let start = 0
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
      if (this.#skip > 0) this.#skip--
      else {
        const line = parseLine(bytes.toString("utf8", start, end))
        if (line === undefined) break
        lines.push(line)
      }
      start = end + 1
    }
    return { lines, read: start }
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}
