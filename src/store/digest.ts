/** An entry as a move sees it: revisions are a store's own. */
export interface MovedEntry {
  readonly key: string
  readonly value: string
}

/** One entry as a line of an export. */
export function lineOf({ key, value }: MovedEntry): string {
  return `${JSON.stringify({ key, value })}\n`
}

/** How many entries there were, and the SHA-256 in hex of their lines: the same for the same entries in any store. */
export interface Digest {
  readonly entries: number
  readonly sha256: string
}

/** Adds up a digest, entry by entry in the order of their keys. */
export function digesting(): { add(line: string): void; end(): Digest } {
  const hasher = new Bun.CryptoHasher("sha256")
  let entries = 0
  return {
    add(line) {
      hasher.update(line)
      entries++
    },
    end: () => ({ entries, sha256: hasher.digest("hex") }),
  }
}
