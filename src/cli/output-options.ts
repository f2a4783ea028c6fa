import type { Flags } from "../config.ts"
import { type Style, styleFor } from "./terminal.ts"

/** What commands that answer in lines have in common. */
export interface OutputOptions {
  /** Print JSON and nothing else. */
  readonly json: boolean
  /** What was typed of the settings. */
  readonly settings: Flags
  /** Takes the output line by line, without line ends. Default: the standard output. */
  readonly print?: (line: string) => void
  /** Default: colours when the standard output is a terminal. */
  readonly style?: Style
}

/** The same, with what is left out of it filled in. */
export function outputOf({ print, style }: OutputOptions): Required<Pick<OutputOptions, "print" | "style">> {
  return {
    print: print ?? ((line) => console.log(line)),
    style: style ?? styleFor(process.stdout, process.env),
  }
}
