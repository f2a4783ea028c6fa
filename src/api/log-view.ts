import type { Run } from "../model/run.ts"
import type { PlacedLine } from "./merged-log.ts"

/** A line in the older clients' shape, and ours beside it. */
export function lineView({ line, place }: Pick<PlacedLine, "line" | "place">, run: Run) {
  return {
    runid: line.runId,
    driver: line.driver ?? "",
    pipeline: run.pipeline?.name ?? "",
    timestamp: line.at,
    message: line.message,
    sequence: line.sequence,
    ...(place === 0 ? {} : { place }),
    ...(line.step === undefined ? {} : { step: line.step }),
    ...(line.attempt === undefined ? {} : { attempt: line.attempt }),
    stream: line.stream,
  }
}

/** That lines are missing, in the shape of a line, so that clients show it which know of nothing else. */
export function absenceView(message: string, run: Run, now: Date) {
  return {
    runid: run.runId,
    driver: "",
    pipeline: run.pipeline?.name ?? "",
    timestamp: now.toISOString(),
    message,
    sequence: 0,
    stream: "notice",
  }
}
