import * as v from "valibot"

/** What happened to a resource; what a run is for. */
export const resourceEvents = ["create", "update", "delete"] as const
export type ResourceEvent = (typeof resourceEvents)[number]
export const resourceEventSchema = v.picklist(
  resourceEvents,
  `Expected one of ${resourceEvents.map((event) => `"${event}"`).join(", ")}`,
)
