import { type LogLine, messageLengthMax } from "../model/log.ts"

/*
 * The format of a log file: one JSON object per line, in order of their sequences, which count from 1 without a gap. So
 * the n-th line has sequence n, and bytes after the last line feed are a line that was torn by a crash.
 */

/** The byte that ends each line. */
export const lineFeed = 10

/** One line of a log file, its line end included. */
export function formatLine(line: LogLine): string {
  return `${JSON.stringify({ ...line, message: cutMessage(line.message) })}\n`
}

/** Reads one line of a log file, without its line end; undefined when it is not one. */
export function parseLine(text: string): LogLine | undefined {
  try {
    const line: unknown = JSON.parse(text)
    return typeof line === "object" && line !== null && "sequence" in line ? (line as LogLine) : undefined
  } catch {
    return undefined
  }
}

/** A message over the limit is cut, never within a character, and says how much is missing. */
function cutMessage(message: string): string {
  if (message.length <= messageLengthMax) return message
  const kept = message.slice(0, messageLengthMax).replace(/[\uD800-\uDBFF]$/, "")
  return `${kept}… (${message.length - kept.length} more characters were cut)`
}
