/* What tests read from the documentation: its fenced blocks, its sections, its tables. */

export interface FencedBlock {
  /** What stands behind the fence: `yaml`. */
  readonly info: string
  readonly text: string
  /** The line of its fence in the document, from 1. */
  readonly line: number
}

export interface Section {
  readonly heading: string
  /** How many `#` it has. */
  readonly level: number
  /** What stands below it, up to the next heading of any level. */
  readonly text: string
}

/** The fenced blocks of a document, in its order. */
export function fencedBlocks(markdown: string): readonly FencedBlock[] {
  const blocks: FencedBlock[] = []
  let open: { info: string; line: number; lines: string[] } | undefined
  for (const [index, line] of markdown.split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line)
    if (fence === null) open?.lines.push(line)
    else if (open === undefined) open = { info: fence[1] ?? "", line: index + 1, lines: [] }
    else {
      blocks.push({ info: open.info, line: open.line, text: `${open.lines.join("\n")}\n` })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`The block of line ${open.line} has no end`)
  return blocks
}

/** The sections of a document, in its order; a `#` in a fenced block is no heading. */
export function sectionsOf(markdown: string): readonly Section[] {
  const sections: { heading: string; level: number; lines: string[] }[] = []
  let isFenced = false
  for (const line of markdown.split("\n")) {
    if (line.startsWith("```")) isFenced = !isFenced
    const heading = isFenced ? null : /^(#+) (.+)$/.exec(line)
    if (heading === null) sections.at(-1)?.lines.push(line)
    else sections.push({ level: (heading[1] ?? "").length, heading: heading[2] ?? "", lines: [] })
  }
  return sections.map(({ lines, ...rest }) => ({ ...rest, text: lines.join("\n") }))
}

/** The rows of the table that follows the mark, cell by cell, without its head. */
export function tableAfter(markdown: string, mark: string): readonly (readonly string[])[] {
  const lines = markdown.split("\n")
  const start = lines.findIndex((line, at) => line.startsWith("|") && at > lines.indexOf(mark))
  if (!lines.includes(mark) || start < 0) throw new Error(`There is no table after "${mark}"`)
  const end = lines.findIndex((line, at) => at > start && !line.startsWith("|"))
  return lines.slice(start + 2, end < 0 ? lines.length : end).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}
