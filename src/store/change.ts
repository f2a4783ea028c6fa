import type { Change, Revision } from "./store.ts"

/** The key that was written or deleted. */
export function keyOf(change: Change): string {
  return change.type === "put" ? change.entry.key : change.key
}

/** The revision at which that was. */
export function revisionOf(change: Change): Revision {
  return change.type === "put" ? change.entry.modRevision : change.modRevision
}
