import { messageLengthMax } from "../model/log.ts"

/** Splits a stream of bytes into lines. */
export interface LineSplitter {
  /** The lines that these bytes complete. */
  push(bytes: Uint8Array): string[]
  /** What is left without a line end, if anything. Nothing may be pushed after it. */
  end(): string[]
}

/**
 * Lines as a person would see them on a terminal: what a carriage return has overwritten is left out (progress bars),
 * bytes that are not UTF-8 become U+FFFD, and a line over the limit is cut. It never holds more than one
 * line of the greatest length, however long a line is.
 */
export function createLineSplitter(): LineSplitter {
  const decoder = new TextDecoder()
  let partial = ""
  let dropped = 0

  function complete(line: string): string {
    const message = cutMessage(lastOverwritten(line), dropped)
    dropped = 0
    return message
  }

  function take(text: string): string[] {
    const lines = text.split("\n")
    lines[0] = partial + (lines[0] ?? "")
    partial = lines.pop() ?? ""
    const messages = lines.map(complete)
    if (partial.length > messageLengthMax) shortenPartial()
    return messages
  }

  function shortenPartial(): void {
    partial = lastOverwritten(partial)
    dropped += Math.max(0, partial.length - messageLengthMax)
    partial = partial.slice(0, messageLengthMax)
  }

  return {
    push: (bytes) => take(decoder.decode(bytes, { stream: true })),
    end() {
      const messages = take(decoder.decode())
      return partial === "" ? messages : [...messages, complete(partial)]
    },
  }
}

/** One message per line of a text that is complete. A line end at its end starts no other line. */
export function splitMessage(text: string): string[] {
  if (!text.includes("\n") && !text.includes("\r")) return [cutMessage(text)]
  const lines = text.endsWith("\n") ? text.slice(0, -1).split("\n") : text.split("\n")
  return lines.map((line) => cutMessage(lastOverwritten(line)))
}

/** The message, or as much of it as is kept with a word on how much was not. `dropped`: what was cut already. */
function cutMessage(message: string, dropped = 0): string {
  const length = message.length + dropped
  if (length <= messageLengthMax) return message
  const note = ` … [cut: the line had ${length} characters]`
  return message.slice(0, messageLengthMax - note.length).toWellFormed() + note
}

function lastOverwritten(line: string): string {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line
  return text.includes("\r") ? text.slice(text.lastIndexOf("\r") + 1) : text
}
