import { didYouMean } from "./nearest.ts"

/** One fault in something a person wrote, with its place and, where there is one, the way to mend it. */
export interface Fault {
  /** What is wrong and what was expected, as one sentence without the place. */
  readonly message: string
  /** Where in the document, as a JSON Pointer (RFC 6901): `/steps/1/driver`. The empty string is the whole. */
  readonly path?: string
  /** The file, relative to the folder that was read. */
  readonly file?: string
  /** Counts from 1. */
  readonly line?: number
  /** Counts from 1, in characters. */
  readonly column?: number
  /** The nearest valid thing, where something valid is near. */
  readonly nearest?: string
  /** A warning does not keep the thing from being used. Default `error`. */
  readonly severity?: "error" | "warning"
  /** The hosts in whose folder it is so, where another host's file of that name is without it. */
  readonly hosts?: readonly string[]
}

/** `file:line:column: message (did you mean "x"?)`: the form editors and terminals make a link of. */
export function describeFault(fault: Fault): string {
  const place = [fault.file, fault.line, fault.line === undefined ? undefined : fault.column]
    .filter((part) => part !== undefined)
    .join(":")
  const where = place !== "" ? `${place}: ` : fault.path ? `${fault.path}: ` : ""
  const hosts = fault.hosts === undefined ? "" : ` (on ${fault.hosts.join(", ")})`
  return `${where}${fault.message}${didYouMean(fault.nearest)}${hosts}`
}
