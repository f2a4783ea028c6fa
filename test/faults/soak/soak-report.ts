/** What a soak has come to: numbers while it goes on, and its verdict at the end. */
export interface SoakReport {
  readonly seconds: number
  readonly submitted: number
  readonly acknowledged: number
  readonly ended: number
  /** Not ended yet. */
  readonly open: number
  /** Acknowledged, and never seen; or not ended when the soak gave up waiting. */
  readonly lost: number
  /** Changes of runs seen, each of which must be legal and happen once. */
  readonly transitions: number
  /** Those that were not, and everything else that broke a promise. */
  readonly breaches: number
  readonly attempts: number
  readonly takeovers: number
  readonly takeoverP50Ms: number
  readonly takeoverMaxMs: number
  readonly kills: number
  readonly pauses: number
  readonly drains: number
  readonly etcdFaults: number
  readonly edits: number
}

const columns = [
  ["seconds", "seconds"],
  ["submitted", "submitted"],
  ["acknowledged", "acked"],
  ["ended", "ended"],
  ["open", "open"],
  ["lost", "lost"],
  ["transitions", "changes"],
  ["breaches", "breaches"],
  ["attempts", "attempts"],
  ["takeovers", "takeovers"],
  ["takeoverP50Ms", "p50 ms"],
  ["takeoverMaxMs", "max ms"],
  ["kills", "kills"],
  ["pauses", "pauses"],
  ["drains", "drains"],
  ["etcdFaults", "etcd"],
  ["edits", "edits"],
] as const satisfies readonly (readonly [keyof SoakReport, string])[]

const widthMin = 8
const padded = (text: string, heading: string) => text.padStart(Math.max(widthMin, heading.length + 2))

/** The line above the reports. */
export const reportHeading = columns.map(([, heading]) => padded(heading, heading)).join("")

/** A report as one line of the table. */
export function reportLine(report: SoakReport): string {
  return columns.map(([name, heading]) => padded(String(Math.round(report[name])), heading)).join("")
}
