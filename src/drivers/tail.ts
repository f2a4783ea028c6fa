/** How much of a command's output is kept for its result. */
export const outputBytesMax = 1024 * 1024

/** Keeps the end of a stream of bytes. */
export interface Tail {
  push(bytes: Uint8Array): void
  /** What is kept, as text. A character that was cut in half at the start is left out. */
  text(): string
  /** How many bytes were pushed in all. */
  total(): number
}

/** A tail of `bytesMax` bytes. Holds at most one pushed chunk more than that. */
export function createTail(bytesMax = outputBytesMax): Tail {
  const chunks: Uint8Array[] = []
  let held = 0
  let total = 0
  return {
    push(bytes) {
      chunks.push(bytes)
      held += bytes.length
      total += bytes.length
      for (let first = chunks[0]; first !== undefined; first = chunks[0]) {
        if (held - first.length < bytesMax) break
        held -= first.length
        chunks.shift()
      }
    },
    text() {
      const all = Buffer.concat(chunks)
      if (all.length <= bytesMax) return all.toString("utf8")
      let start = all.length - bytesMax
      while (start < all.length && ((all[start] ?? 0) & 0xc0) === 0x80) start++
      return all.toString("utf8", start)
    },
    total: () => total,
  }
}
