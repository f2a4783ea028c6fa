import type { FileHandle } from "node:fs/promises"
import { lineFeed, parseLine } from "./log-text.ts"

const chunkBytes = 64 * 1024

/** Where a log file ends: behind its last whole line. */
export interface LogTail {
  /** The sequence of the last whole line; 0 in an empty file. */
  readonly sequence: number
  /** The size of the file up to and with that line. What follows was torn by a crash and was never acknowledged. */
  readonly bytes: number
}

/** Finds the last whole line of a log file, reading backwards, so that a long log opens as fast as a short one. */
export async function findTail(file: FileHandle): Promise<LogTail> {
  const { size } = await file.stat()
  let start = size
  let tail: Buffer = Buffer.alloc(0)
  while (start > 0) {
    const length = Math.min(chunkBytes, start)
    start -= length
    const chunk = Buffer.alloc(length)
    await file.read(chunk, 0, length, start)
    tail = Buffer.concat([chunk, tail])
    const found = lastLine(tail, start === 0)
    if (found !== undefined) return { sequence: found.sequence, bytes: start + found.end }
  }
  return { sequence: 0, bytes: 0 }
}

/** The last line of `tail` that is whole. A line counts only when its start is known too. */
function lastLine(tail: Buffer, fromStart: boolean): { sequence: number; end: number } | undefined {
  let end = tail.lastIndexOf(lineFeed)
  while (end >= 0) {
    const before = end === 0 ? -1 : tail.lastIndexOf(lineFeed, end - 1)
    if (before < 0 && !fromStart) return undefined
    const line = parseLine(tail.toString("utf8", before + 1, end))
    if (line !== undefined) return { sequence: line.sequence, end: end + 1 }
    end = before
  }
  return undefined
}
