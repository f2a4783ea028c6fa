import * as v from "valibot"
import { runStatuses, stepStatuses } from "../model/run.ts"

/* What `GET /runs/:id/explain` answers, for the OpenAPI document, as in shapes.ts. */

const texts = v.record(v.string(), v.string())
const time = v.pipe(v.string(), v.isoTimestamp())
const readValue = { expression: v.string(), value: v.exactOptional(v.unknown()) }
const blockers = v.array(v.object({ stepId: v.string(), status: v.picklist(stepStatuses) }))
const hostLoad = v.object({ hostId: v.string(), attempts: v.number(), attemptsMax: v.number() })
const lacking = v.object({ hostId: v.string(), lacks: texts })
const driverPlace = v.object({
  type: v.literal("driver"),
  driver: v.string(),
  nearest: v.exactOptional(v.string()),
  hosts: v.array(v.string()),
  unfit: v.array(lacking),
})
const contentPlace = v.object({
  type: v.literal("content"),
  driver: v.string(),
  hash: v.string(),
  others: v.array(v.string()),
})
/** What keeps every host from taking a step up. */
const placeShape = v.variant("type", [
  v.object({ type: v.literal("noHost") }),
  v.object({ type: v.literal("labels"), labels: texts, nearest: lacking }),
  driverPlace,
  contentPlace,
  v.object({ type: v.literal("slots"), hosts: v.array(hostLoad) }),
])
const skipShape = v.variant("type", [
  v.object({ type: v.picklist(["upstream", "failing", "unattempted"]), stepId: v.string() }),
  v.object({ type: v.picklist(["needs", "over", "condition"]) }),
])
const attemptFields = { hostId: v.string(), startedAt: time, attempt: v.number() }
const reasonShape = v.variant("type", [
  v.object({
    type: v.literal("ended"),
    status: v.picklist(["succeeded", "failed", "cancelled"]),
    attempt: v.number(),
    hostId: v.exactOptional(v.string()),
    durationMs: v.exactOptional(v.number()),
    result: v.string(),
    keptFrom: v.exactOptional(v.string()),
  }),
  v.object({ type: v.literal("skipped"), because: skipShape }),
  v.object({
    type: v.literal("blocked"),
    by: blockers,
    brokenBy: v.exactOptional(v.string()),
    place: v.exactOptional(v.variant("type", [driverPlace, contentPlace])),
  }),
  v.object({ type: v.literal("lastOfAll"), by: blockers }),
  v.object({ type: v.literal("held"), since: time, until: v.exactOptional(time) }),
  v.object({ type: v.literal("maxParallel"), maxParallel: v.number(), running: v.array(v.string()) }),
  v.object({
    type: v.literal("concurrency"),
    key: v.string(),
    limit: v.number(),
    holders: v.array(v.object({ runId: v.string(), since: time })),
    ahead: v.array(v.string()),
    replaces: v.exactOptional(v.literal(true)),
    since: time,
  }),
  v.object({
    type: v.literal("place"),
    place: placeShape,
    since: v.exactOptional(time),
    until: v.exactOptional(time),
  }),
  v.object({
    type: v.literal("starting"),
    hosts: v.array(v.string()),
    workspace: v.exactOptional(
      v.object({ hostId: v.string(), state: v.picklist(["free", "unable", "gone"]) }),
    ),
  }),
  v.object({ type: v.literal("conditionDue"), outcome: v.picklist(["false", "error"]) }),
  v.object({
    type: v.literal("timer"),
    until: time,
    attempt: v.number(),
    attemptsMax: v.exactOptional(v.number()),
    lastLine: v.exactOptional(v.string()),
  }),
  v.object({
    type: v.literal("resolution"),
    attempt: v.number(),
    hostId: v.string(),
    since: time,
    resolved: v.boolean(),
  }),
  v.object({
    type: v.literal("running"),
    ...attemptFields,
    timeoutAt: time,
    probing: v.exactOptional(v.number()),
    calledOff: v.boolean(),
    kill: v.boolean(),
    processes: v.exactOptional(v.array(v.object({ pid: v.number(), command: v.string() }))),
  }),
  v.object({
    type: v.literal("orphaned"),
    ...attemptFields,
    claimTtlMs: v.exactOptional(v.number()),
    next: v.picklist(["again", "resolution", "ends"]),
    place: v.exactOptional(placeShape),
  }),
  v.object({ type: v.literal("calledOff") }),
])
const outlookShape = v.object({
  expression: v.string(),
  implied: v.exactOptional(v.literal(true)),
  values: v.array(v.object({ ...readValue, until: v.exactOptional(v.string()) })),
  outcome: v.picklist(["true", "false", "open", "error"]),
  falseParts: v.exactOptional(v.array(v.string())),
  message: v.exactOptional(v.string()),
})
/** Why a run and its steps are where they are. */
export const explanationShape = v.object({
  runId: v.string(),
  status: v.picklist(runStatuses),
  message: v.string(),
  ends: v.exactOptional(v.string()),
  timeoutAt: v.exactOptional(time),
  steps: v.array(
    v.object({
      id: v.string(),
      name: v.exactOptional(v.string()),
      role: v.exactOptional(v.picklist(["ensure", "finally", "deferred"])),
      driver: v.string(),
      status: v.picklist(stepStatuses),
      attempt: v.number(),
      message: v.string(),
      reason: reasonShape,
      condition: v.exactOptional(outlookShape),
    }),
  ),
})
