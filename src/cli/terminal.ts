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
