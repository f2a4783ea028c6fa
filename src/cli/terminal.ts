/** Wraps text in a terminal's colours, or leaves it alone. */
export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
}

/** Colours for a terminal, none for a file or a pipe, and none where `NO_COLOR` is set to anything. */
export function styleFor(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Style {
  const colours = stream.isTTY === true && !env["NO_COLOR"]
  const paint = (code: number) => (text: string) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text)
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), yellow: paint(33) }
}

/**
 * Makes a line safe to show: a step's output may hold escape sequences that move the cursor, retitle the window or
 * hide text, and a log is shown to people who did not write it. Tabs stay.
 */
export function printable(text: string): string {
  return Bun.stripANSI(text).replace(/[^\P{Cc}\t]/gu, "")
}

/**
 * Breaks a line at its spaces so that no part is wider than `width` cells; a word that is wider stands alone, broken
 * nowhere. A terminal that is not there has no width: then nothing is broken.
 */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  let line = ""
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`
    if (line !== "" && Bun.stringWidth(longer) > width) {
      lines.push(line)
      line = word
    } else line = longer
  }
  return [...lines, line]
}

/** How many cells there are for text: the terminal's, never absurdly few; endless for a file or a pipe. */
export function widthOf(stream: { readonly isTTY?: boolean; readonly columns?: number }): number {
  return stream.isTTY === true && stream.columns ? Math.max(40, stream.columns) : Number.POSITIVE_INFINITY
}
